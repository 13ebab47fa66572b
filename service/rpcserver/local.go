package rpcserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/reason"
)

// Local is a connection to a TaskService in this process. Its calls pass the same interceptors as those of a [Server],
// but no network. The caller and the deadline are those of the call's context (see [caller.NewContext]); metadata from
// the client is ignored. Both sides share the messages, so neither may change one that was sent.
//
// It is safe for concurrent use. Stop it.
type Local struct {
	service taskv1.TaskServiceServer
	calls   *calls

	mu      sync.Mutex
	stopped bool                             // Guarded by mu, as is flights.
	flights map[*context.CancelFunc]struct{} // The calls in flight, by the function that cancels them.
	running sync.WaitGroup                   // Calls in flight. Add requires mu.
}

// localService is the service of a Local.
var localService = &taskv1.TaskService_ServiceDesc

var errNobody = errors.New("the context has no caller")

// NewLocal returns a connection to a service. log gets a line per call. metrics may be nil.
func NewLocal(service taskv1.TaskServiceServer, log *slog.Logger, metrics prometheus.Registerer) *Local {
	who := func(ctx context.Context, _ metadata.MD, _ bool) (caller.Caller, error) {
		if who, ok := caller.FromContext(ctx); ok {
			return *who, nil
		}
		return caller.Caller{}, errNobody
	}
	return &Local{
		service: service, calls: &calls{who: who, log: log, metrics: newMetrics(metrics)},
		flights: map[*context.CancelFunc]struct{}{},
	}
}

// Stop refuses new calls and waits for those in flight. When ctx ends, it cancels them and waits for their handlers. It
// reports whether all calls ended without being cancelled.
func (l *Local) Stop(ctx context.Context) (graceful bool) {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.running.Wait()
	}()
	select {
	case <-ended:
		return true
	case <-ctx.Done():
		l.cancel()
		<-ended
		return false
	}
}

// cancel cancels the calls in flight.
func (l *Local) cancel() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for cancel := range l.flights {
		(*cancel)()
	}
}

// enter registers a call. The caller must call leave when the handler has returned.
func (l *Local) enter(ctx context.Context) (_ context.Context, leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		who, _ := caller.FromContext(ctx)
		return nil, nil, (&reason.Error{Outcome: reason.ServerDraining}).Status(who.RequestID, who.Language).Err()
	}
	l.running.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	l.flights[&cancel] = struct{}{}
	return ctx, func() {
		l.mu.Lock()
		delete(l.flights, &cancel)
		l.mu.Unlock()
		cancel()
		l.running.Done()
	}, nil
}

// Invoke implements [grpc.ClientConnInterface]. The handler runs on the caller's goroutine.
func (l *Local) Invoke(ctx context.Context, method string, request, reply any, options ...grpc.CallOption) error {
	of := methods[method]
	if of.service != localService || of.unary == nil {
		return fmt.Errorf("%s is not a unary method", method)
	}
	ctx, leave, err := l.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	sent := &localHead{method: method}
	handled := func(ctx context.Context, _ any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return l.calls.unary(ctx, request, info, handler) // The handler gets the client's own request.
	}
	unread := func(any) error { return nil }
	answer, err := of.unary(l.service, grpc.NewContextWithServerTransportStream(ctx, sent), unread, handled)
	sent.deliver(options)
	if err != nil {
		return err
	}
	share(reply, answer)
	return nil
}

// Stream runs a call with a stream of messages on the caller's goroutine, and sends its messages to sink. It returns the
// call's error, and sends nothing after it has returned. A Send that is blocked when the handler returns is cut.
func (l *Local) Stream(ctx context.Context, method string, request proto.Message, sink message.Sink) error {
	of := methods[method]
	if of.service != localService || of.stream == nil {
		return fmt.Errorf("%s is not a streaming method", method)
	}
	s, err := l.open(ctx, request, sink)
	if err != nil {
		return err
	}
	defer s.end()
	return l.calls.stream(l.service, s, &grpc.StreamServerInfo{FullMethod: method, IsServerStream: true}, of.stream)
}

// open registers a call with a stream. Its frame is not part of the stack on which the stream waits.
func (l *Local) open(ctx context.Context, request proto.Message, sink message.Sink) (*localStream, error) {
	ctx, leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	return &localStream{ctx: ctx, leave: leave, request: request, sink: sink, sending: make(chan struct{}, 1)}, nil
}

// NewStream implements [grpc.ClientConnInterface]. It fails: see Stream.
func (l *Local) NewStream(
	_ context.Context, _ *grpc.StreamDesc, method string, _ ...grpc.CallOption,
) (grpc.ClientStream, error) {
	return nil, fmt.Errorf("%s is called by Stream", method)
}

// share copies the fields of a message into another. Both then share the values that the fields refer to.
func share(to, from any) {
	target, source := to.(proto.Message).ProtoReflect(), from.(proto.Message).ProtoReflect()
	source.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		target.Set(field, value)
		return true
	})
}

// localHead holds the header and trailer of a call. It implements [grpc.ServerTransportStream].
type localHead struct {
	method          string
	mu              sync.Mutex
	header, trailer metadata.MD // Guarded by mu.
}

func (h *localHead) Method() string { return h.method }

func (h *localHead) SetHeader(md metadata.MD) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.header == nil {
		h.header = md // The interceptor makes it for each call.
		return nil
	}
	h.header = metadata.Join(h.header, md)
	return nil
}

func (h *localHead) SendHeader(md metadata.MD) error { return h.SetHeader(md) }

func (h *localHead) SetTrailer(md metadata.MD) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trailer = metadata.Join(h.trailer, md)
	return nil
}

// deliver stores the header and trailer where the client's options want them.
func (h *localHead) deliver(options []grpc.CallOption) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, option := range options {
		switch o := option.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = h.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = h.trailer
		}
	}
}

// localStream is the handler's view of a stream. Header and trailer are dropped: they only name the request.
type localStream struct {
	ctx     context.Context
	leave   func()
	request proto.Message
	sink    message.Sink

	sending chan struct{} // Capacity 1: has a token during a Send.
	over    bool          // Nothing may be sent any more. Guarded by sending.
}

func (s *localStream) Context() context.Context     { return s.ctx }
func (s *localStream) SetHeader(metadata.MD) error  { return nil }
func (s *localStream) SendHeader(metadata.MD) error { return nil }
func (s *localStream) SetTrailer(metadata.MD)       {}

// RecvMsg returns the request.
func (s *localStream) RecvMsg(m any) error {
	share(m, s.request)
	return nil
}

// SendMsg sends a message to the sink.
func (s *localStream) SendMsg(m any) error {
	s.sending <- struct{}{}
	defer func() { <-s.sending }()
	if s.over {
		return status.FromContextError(context.Canceled).Err()
	}
	shared, ok := m.(*message.Message)
	if !ok {
		shared = message.New(m.(proto.Message))
	}
	return s.sink.Send(shared)
}

// end ends a Send that is blocked, and prevents others. Then the call has left.
func (s *localStream) end() {
	defer s.leave()
	if len(s.sending) > 0 {
		s.sink.Cut()
	}
	s.sending <- struct{}{}
	defer func() { <-s.sending }()
	s.over = true
}
