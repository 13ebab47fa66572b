package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// step is the stub's next step in a call: it has one of these keys. After the last step, the call ends with OK.
type step struct {
	// Task and Heartbeat are sent; a task gets the current observe_time. Newer is an event of a kind that clients do
	// not know.
	Task      json.RawMessage
	Heartbeat json.RawMessage
	Newer     *struct{}
	// Failure ends the call.
	Failure *stubFailure
	// Cut closes the connection, and the given number of subsequent ones. Silence sends nothing until the client gives
	// up.
	Cut     *int
	Silence *struct{}
}

// stubFailure is an error. Without a reason it has no details, like an error of a proxy.
type stubFailure struct {
	Code             string
	Domain           string // Empty: kootask's.
	Reason           string
	RetryAfter       *float64
	Metadata         map[string]string
	Violations       []violation
	LocalizedMessage string
}

// received is a call that the stub must get.
type received struct {
	// Metadata are required values of the call's metadata. An empty value means that the key must be absent.
	Metadata map[string]string
	// Request is the request of the call.
	Request json.RawMessage
	// After is the time since the previous call.
	After *between
}

// call is a call that the stub got.
type call struct {
	metadata metadata.MD
	request  proto.Message
	at       time.Time
}

// stub is a TaskService that follows a scenario.
type stub struct {
	taskv1.UnimplementedTaskServiceServer
	script   [][]step
	listener net.Listener
	server   *grpc.Server

	mu    sync.Mutex // Guards the fields below.
	calls []call
	conns map[string]net.Conn // By the client's address.
	away  int                 // Number of the next connections to close at once.
	holds net.Conn            // Not nil: nobody listens, and this connection's local address is the scenario's.
}

func newStub(ctx context.Context, s scenario) (*stub, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &stub{script: s.Stub, listener: listener, server: grpc.NewServer(), conns: map[string]net.Conn{}}
	if s.Nobody {
		w.holds, err = (&net.Dialer{}).DialContext(ctx, "tcp", listener.Addr().String())
		return w, err
	}
	taskv1.RegisterTaskServiceServer(w.server, w)
	go func() { _ = w.server.Serve(recorder{listener, w}) }()
	return w, nil
}

// recorder records the accepted connections.
type recorder struct {
	net.Listener
	stub *stub
}

func (r recorder) Accept() (net.Conn, error) {
	for {
		conn, err := r.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if r.stub.takes(conn) {
			return conn, nil
		}
		_ = conn.Close()
	}
}

// takes reports whether to keep a connection.
func (w *stub) takes(conn net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away > 0 {
		w.away--
		return false
	}
	w.conns[conn.RemoteAddr().String()] = conn
	return true
}

func (w *stub) addr() string {
	if w.holds != nil {
		return w.holds.LocalAddr().String()
	}
	return w.listener.Addr().String()
}

func (w *stub) change(context.Context, act) error { return fmt.Errorf("a stub does not change") }

func (w *stub) close() {
	w.server.Stop()
	_ = w.listener.Close()
	if w.holds != nil {
		_ = w.holds.Close()
	}
}

func (w *stub) GetTask(ctx context.Context, req *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	response := &taskv1.GetTaskResponse{}
	err := w.play(ctx, req, func(event *taskv1.WatchTaskResponse) error {
		response.Task = event.GetTask()
		return nil
	})
	return response, err
}

func (w *stub) WatchTask(req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	return w.play(stream.Context(), req, stream.Send)
}

// play performs the steps of a call.
func (w *stub) play(ctx context.Context, request proto.Message, send func(*taskv1.WatchTaskResponse) error) error {
	md, _ := metadata.FromIncomingContext(ctx)
	w.mu.Lock()
	steps := w.script[min(len(w.calls), len(w.script)-1)]
	w.calls = append(w.calls, call{md, request, time.Now()})
	w.mu.Unlock()
	for _, s := range steps {
		switch {
		case s.Failure != nil:
			return s.Failure.err()
		case s.Cut != nil:
			w.cut(ctx, *s.Cut)
			<-ctx.Done()
			return ctx.Err()
		case s.Silence != nil:
			<-ctx.Done()
			return ctx.Err()
		}
		event, err := s.event()
		if err == nil {
			err = send(event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cut closes the connection of a call, a moment after the last message, and subsequent ones as they come.
func (w *stub) cut(ctx context.Context, others int) {
	<-time.After(time.Second) // By then the client has read the message.
	from, _ := peer.FromContext(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.away = others
	_ = w.conns[from.Addr.String()].Close()
}

func (s step) event() (*taskv1.WatchTaskResponse, error) {
	switch {
	case s.Task != nil:
		task := &taskv1.Task{}
		err := protojson.Unmarshal(s.Task, task)
		task.ObserveTime = timestamppb.Now()
		return &taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: task}}, err
	case s.Heartbeat != nil:
		heartbeat := &taskv1.Heartbeat{}
		err := protojson.Unmarshal(s.Heartbeat, heartbeat)
		return &taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Heartbeat{Heartbeat: heartbeat}}, err
	default:
		return &taskv1.WatchTaskResponse{}, nil
	}
}

// The common parts of the stub's errors.
const (
	stubMessage   = "The stub says so."
	stubRequestID = "request-1"
)

func (f *stubFailure) err() error {
	st := status.New(codes.Code(code.Code_value[f.Code]), stubMessage)
	if f.Reason == "" {
		return st.Err()
	}
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Domain: cmp.Or(f.Domain, "koodrive.task.v1"), Reason: f.Reason, Metadata: f.Metadata},
	}
	if f.Domain == "" {
		details = append(details, &errdetails.RequestInfo{RequestId: stubRequestID})
	}
	if f.RetryAfter != nil {
		delay := time.Duration(*f.RetryAfter * float64(time.Second))
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	if len(f.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range f.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.Field, Reason: v.Reason, Description: v.Description,
			})
		}
		details = append(details, bad)
	}
	if f.LocalizedMessage != "" {
		details = append(details, &errdetails.LocalizedMessage{Locale: "zh-CN", Message: f.LocalizedMessage})
	}
	st, err := st.WithDetails(details...)
	if err != nil {
		return err
	}
	return st.Err()
}

// settle compares the calls that the stub got with the expected ones.
func (w *stub) settle(_ context.Context, s scenario) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.Received == nil {
		return nil
	}
	if len(w.calls) != len(s.Received) {
		return fmt.Errorf("the server got %d calls, and not %d", len(w.calls), len(s.Received))
	}
	for i, want := range s.Received {
		got := w.calls[i]
		for key, value := range want.Metadata {
			if all := strings.Join(got.metadata.Get(key), ", "); all != value {
				return fmt.Errorf("call %d has %s: %q, and not %q", i+1, key, all, value)
			}
		}
		if want.Request != nil {
			request := proto.Clone(got.request)
			proto.Reset(request)
			if err := protojson.Unmarshal(want.Request, request); err != nil {
				return err
			}
			if !proto.Equal(request, got.request) {
				return fmt.Errorf("call %d has the request %v, and not %v", i+1, got.request, request)
			}
		}
		if want.After != nil && i > 0 {
			after := got.at.Sub(w.calls[i-1].at).Seconds()
			if err := want.After.holds(&after); err != nil {
				return fmt.Errorf("call %d comes after %w", i+1, err)
			}
		}
	}
	return nil
}
