package rpcserver

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/internal/panics"
	"github.com/kootask/kootask/internal/taskid"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
)

// calls intercepts every call, unary or stream: it authenticates the caller, turns panics into errors and errors into
// statuses, returns the request id, and counts and logs the end. All steps need the same few values, so there is one
// interceptor of each kind instead of a chain.
type calls struct {
	who      func(ctx context.Context, header metadata.MD, needed bool) (caller.Caller, error)
	log      *slog.Logger
	metrics  *metrics
	requests *requests // Nil within this process, where requests do not have to arrive.
}

// MaxPushback is the longest retry delay that is sent to gRPC's own retry policies.
const MaxPushback = 5 * time.Second

// call is one call in flight, with its contexts: each of them would be an allocation.
type call struct {
	of      *series
	start   time.Time
	who     caller.Caller
	taskID  string         // As received, even if invalid.
	taskIDs []string       // Of a call for several tasks, likewise. Nil for one task.
	spent   *observe.Spent // The time that the call has waited. Nil for streams and waits: a watch's requests are shared.
	ctx     caller.Context // The handler's.
}

func (c *calls) begin(call *call, kind, method string) {
	call.of, call.start = c.metrics.of(kind, method), time.Now()
	call.of.started.Inc()
}

func (c *calls) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	requestOf(ctx).received()
	uncompressed(ctx)
	both := &struct { // One allocation.
		call
		observe.Spending
	}{Spending: observe.Spending{Context: ctx}}
	call := &both.call
	c.begin(call, unaryCall, info.FullMethod)
	if call.of.seconds != nil {
		call.spent = &both.Spent
	}
	call.read(req)
	var resp any
	err := c.run(&both.Spending, call, func(ctx context.Context) (err error) {
		resp, err = handler(ctx, req)
		return err
	})
	// A failed call sends trailers only: a header would make clients treat it as not retriable.
	if err != nil {
		_ = grpc.SetTrailer(ctx, call.trailer(err))
		return nil, err
	}
	return resp, grpc.SendHeader(ctx, call.requestID()) // SetHeader would copy it.
}

func (c *calls) stream(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	uncompressed(ss.Context())
	stream := &stream{ServerStream: ss, requests: c.requests}
	c.begin(&stream.call, streamCall, info.FullMethod)
	err := c.run(ss.Context(), &stream.call, func(context.Context) error { return handler(srv, stream) })
	if err != nil && !stream.opened.Load() {
		ss.SetTrailer(stream.call.trailer(err))
	}
	return err
}

// run is the common part of unary and stream.
func (c *calls) run(ctx context.Context, call *call, handle func(context.Context) error) error {
	return c.end(ctx, call, c.guarded(ctx, call, handle))
}

// guarded authenticates the caller and handles the call. It turns a panic into an error, without the panic's value: that
// may hold secrets.
func (c *calls) guarded(ctx context.Context, call *call, handle func(context.Context) error) (err error) {
	defer panics.Recover(&err, "in the handler")
	if err := c.authenticate(ctx, call); err != nil {
		return err
	}
	call.ctx = caller.Context{Context: ctx, Caller: &call.who}
	return handle(&call.ctx)
}

// end counts and logs the end of a call, and returns the error that its client gets.
func (c *calls) end(ctx context.Context, call *call, err error) error {
	end := time.Now()
	var failure *reason.Error
	if _, isStatus := status.FromError(err); !call.of.ours && isStatus {
		c.metrics.end(call.of, end.Sub(call.start), nil, status.Code(err))
		return err
	}
	if err != nil {
		failure = reason.Of(err)
		err = failure.Status(call.who.RequestID, call.who.Language).Err()
	}
	c.metrics.end(call.of, end.Sub(call.start), failure, status.Code(err))
	c.logEnd(ctx, call, end, failure, status.Code(err))
	return err
}

// authenticate sets the caller of a call, or refuses the call. Its frame is not part of the stack on which a watch waits.
func (c *calls) authenticate(ctx context.Context, call *call) (err error) {
	if call.who, err = c.who(ctx, headerOf(ctx), call.of.ours); !call.of.ours {
		return nil
	}
	return err
}

func (c *calls) logEnd(ctx context.Context, call *call, end time.Time, failure *reason.Error, code codes.Code) {
	at, to := level(failure, code), c.log.Handler()
	if !to.Enabled(ctx, at) {
		return
	}
	var room [16]slog.Attr // The record copies them, so they stay on the stack.
	attrs := call.who.AppendAttrs(room[:0], call.taskID)
	if call.taskIDs != nil {
		attrs = caller.AppendTasks(attrs, call.taskIDs)
	}
	attrs = append(attrs,
		slog.String("method", call.of.method),
		slog.String("code", code.String()),
		slog.Float64("seconds", end.Sub(call.start).Seconds()),
	)
	if spent := call.spent; spent != nil {
		attrs = append(attrs,
			slog.Float64("wait_seconds", spent.Queued.Seconds()),
			slog.Float64("koodrive_seconds", spent.Sent.Seconds()),
		)
	}
	if failure != nil {
		attrs = append(attrs,
			slog.String("reason", failure.Reason()),
			slog.String("outcome", failure.Outcome.Name),
			slog.String("error", failure.Error()),
		)
	}
	// Not with c.log.LogAttrs, which looks up the place in the code that logs.
	line := slog.NewRecord(end, at, "call", 0)
	line.AddAttrs(attrs...)
	_ = to.Handle(ctx, line)
}

// level is Warn for the caller's errors, and Error for those of kootask and KooDrive.
func level(failure *reason.Error, code codes.Code) slog.Level {
	switch {
	case failure == nil || failure.Outcome == reason.CallerCancelled || failure.Outcome == reason.ServerDraining:
		return slog.LevelInfo
	case code == codes.Internal || code == codes.Unavailable || code == codes.Unknown:
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}

func (c *call) requestID() metadata.MD {
	return metadata.MD{caller.HeaderRequestID: {c.who.RequestID}}
}

func (c *call) trailer(err error) metadata.MD {
	if !c.of.ours {
		return c.requestID()
	}
	return trailer(c.who.RequestID, err)
}

// trailer returns the trailer of a caller's failed call. It has the delay for gRPC's own retry policies (gRFC A6): that of
// RetryInfo if it is at most MaxPushback, and otherwise never, so that the caller sees the error. The libraries use the
// delay exactly.
func trailer(requestID string, err error) metadata.MD {
	pushback := int64(-1)
	if _, retry := reason.Read(status.Convert(err)); retry != nil && *retry <= MaxPushback {
		pushback = int64(math.Ceil(float64(*retry) / float64(time.Millisecond)))
	}
	return metadata.Pairs(caller.HeaderRequestID, requestID, "grpc-retry-pushback-ms", strconv.FormatInt(pushback, 10))
}

// uncompressed keeps gRPC from compressing an answer because its request was compressed: a task's messages are small,
// and their compressed size would reveal something of their content.
func uncompressed(ctx context.Context) {
	s, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ SendCompress() string })
	if ok && s.SendCompress() == "" { // Nearly always. Setting it would parse a header of the client's and send another one.
		return
	}
	_ = grpc.SetSendCompressor(ctx, encoding.Identity)
}

// read takes the ids of a request's tasks, for the log.
func (c *call) read(req any) {
	switch r := req.(type) {
	case interface{ GetTaskId() string }:
		c.taskID = r.GetTaskId()
	case interface{ GetTaskIds() []string }:
		if c.taskIDs = r.GetTaskIds(); c.taskIDs == nil {
			c.taskIDs = []string{}
		}
	case interface{ GetName() string }:
		c.taskID, _ = taskid.OfOperation(r.GetName())
	}
}

// stream is a server stream that observes its messages.
type stream struct {
	grpc.ServerStream
	call     call
	requests *requests   // Nil within this process.
	opened   atomic.Bool // A message, and so the header, was sent. Atomic: a blocked send outlives the call.
}

func (s *stream) Context() context.Context { return &s.call.ctx }

// RecvMsg reads the request. If it cannot be read, that is the caller's error, and gRPC's library has already sent a text
// of its own, unless the request is overdue.
func (s *stream) RecvMsg(m any) error {
	err := s.receive(m)
	failure, overdue := errors.AsType[*reason.Error](err)
	switch {
	case err == nil:
		s.call.read(m)
		return nil
	case !s.call.of.ours:
		return err
	case overdue:
		return failure
	}
	// Not the context's error: it ends as soon as the library has answered.
	switch status.Code(err) {
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	case codes.Canceled, codes.Unavailable:
		return gone(err)
	case codes.ResourceExhausted:
		return unreadable(reason.TooLong, err)
	default:
		return unreadable(reason.Malformed, err)
	}
}

func (s *stream) receive(m any) error {
	if s.requests == nil {
		return s.ServerStream.RecvMsg(m)
	}
	if q := requestOf(s.Context()); q != nil { // Of health or reflection.
		defer q.received()
		return s.ServerStream.RecvMsg(m)
	}
	ctx := s.ServerStream.Context()
	q := &request{Context: ctx, all: s.requests, who: &s.call.who}
	return q.read(ctx, func() error { return s.ServerStream.RecvMsg(m) })
}

func unreadable(why reason.ViolationReason, err error) *reason.Error {
	failure := reason.Invalid(reason.RequestMalformed, "request", why, "The request cannot be read.")
	failure.Cause = err
	return failure
}

// headers holds the maps of sent headers. gRPC keeps a stream's until the stream ends, but does not use it again, so the
// streams share a few instead of 400 B each.
var headers = sync.Pool{New: func() any { return metadata.MD{} }}

// SendMsg sends the request id as a header with the first message. A header without a message would suggest success. It
// reports that the client has left, unless the message itself is invalid.
func (s *stream) SendMsg(m any) error {
	if !s.opened.Swap(true) {
		header := headers.Get().(metadata.MD)
		header[caller.HeaderRequestID] = []string{s.call.who.RequestID}
		err := s.SendHeader(header)
		headers.Put(header)
		if err != nil {
			return gone(err)
		}
	}
	if err := s.ServerStream.SendMsg(m); err != nil {
		return gone(err)
	}
	return nil
}

func gone(err error) error {
	if code := status.Code(err); code == codes.Internal || code == codes.ResourceExhausted {
		return err
	}
	return errors.Join(context.Canceled, err)
}
