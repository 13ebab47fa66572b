package rpcserver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
)

// leaving is a stream whose client has gone.
type leaving struct {
	grpc.ServerStream
	ctx context.Context
}

func (s leaving) Context() context.Context     { return s.ctx }
func (s leaving) SendHeader(metadata.MD) error { return nil }
func (s leaving) SetTrailer(metadata.MD)       {}
func (s leaving) SendMsg(any) error            { return status.Error(codes.Unavailable, "transport is closing") }

// anybody lets everybody call.
func anybody(ctx context.Context, _ metadata.MD, _ bool) (caller.Caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return caller.NewReader(caller.Forward, "").Read(md.Get)
}

// When a message does not reach a client because it has left, the log does not blame kootask.
func TestSendingToAClientThatHasLeft(t *testing.T) {
	var log bytes.Buffer
	c := &calls{
		who: anybody, log: slog.New(slog.NewTextHandler(&log, nil)),
		metrics: newMetrics(nil),
	}
	stream := leaving{ctx: metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer geheim"))}
	info := &grpc.StreamServerInfo{FullMethod: taskv1.TaskService_WatchTask_FullMethodName}
	err := c.stream(nil, stream, info, func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg(&taskv1.WatchTaskResponse{})
	})
	if status.Code(err) != codes.Canceled || !strings.Contains(log.String(), "level=INFO") ||
		!strings.Contains(log.String(), "outcome=CALLER_CANCELLED") {
		t.Errorf("%v\n%s", err, &log)
	}
}

// A unary call that lasts as long as a watch is neither observed as a short one, nor logged with shares of its time.
func TestWaitsAreNoShortCalls(t *testing.T) {
	for method, short := range map[string]bool{
		taskv1.TaskService_GetTask_FullMethodName: true, longrunningpb.Operations_GetOperation_FullMethodName: true,
		taskv1.TaskService_WaitTask_FullMethodName: false, longrunningpb.Operations_WaitOperation_FullMethodName: false,
	} {
		if methods[method].unary == nil {
			t.Errorf("there is no %s", method)
		}
		var log bytes.Buffer
		registry := prometheus.NewRegistry()
		c := &calls{who: anybody, log: slog.New(slog.NewTextHandler(&log, nil)), metrics: newMetrics(registry)}
		ok := func(context.Context, any) (any, error) { return &taskv1.WaitTaskResponse{}, nil }
		ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer geheim"))
		_, _ = c.unary(ctx, &taskv1.WaitTaskRequest{TaskId: "1"}, &grpc.UnaryServerInfo{FullMethod: method}, ok)
		if line := log.String(); !strings.Contains(line, "task_id=1 ") || strings.Contains(line, "wait_seconds") != short || strings.Contains(line, "koodrive_seconds") != short {
			t.Errorf("%s is logged as %s", method, line)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		series := map[string]bool{}
		for _, family := range families {
			series[family.GetName()] = true
		}
		if series["grpc_server_handling_seconds"] != short || !series["grpc_server_handled_total"] {
			t.Errorf("%s has %v", method, series)
		}
	}
}

// counted counts the functions that wait for its end.
type counted struct {
	context.Context
	waiting atomic.Int32
}

func (c *counted) Done() <-chan struct{} { return make(chan struct{}) }

// AfterFunc makes the package context count.
func (c *counted) AfterFunc(func()) (stop func() bool) {
	c.waiting.Add(1)
	return sync.OnceValue(func() bool { c.waiting.Add(-1); return true })
}

// A call's entry for the stop of the server is removed when its request has arrived, or with the call.
func TestCallsLeaveNothingBehind(t *testing.T) {
	for _, method := range []string{
		"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", taskv1.TaskService_GetTask_FullMethodName,
		longrunningpb.Operations_GetOperation_FullMethodName,
	} {
		for _, arrives := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				stopping := &counted{Context: t.Context()}
				call, end := context.WithCancel(t.Context())
				all := newRequests(stopping, Config{})
				stopping.waiting.Store(0) // Without the one of the whole server.
				ctx, err := all.tap(call, &tap.Info{FullMethodName: method})
				if q := requestOf(ctx); err == nil && ours(method) { // The wait begins with its handler.
					q.all.waitLocked(q)
				}
				if err != nil || stopping.waiting.Load() != 0 || all.awaited() != 1 {
					t.Fatalf("%s: %v, %d functions wait, %v requests", method, err, stopping.waiting.Load(), all.awaited())
				}
				if arrives {
					requestOf(ctx).received()
					requestOf(ctx).arrive()
				}
				if n := stopping.waiting.Load(); arrives && ours(method) && n != 0 {
					t.Errorf("%s: %d functions wait after the request", method, n)
				}
				end()
				synctest.Wait()
				if n := stopping.waiting.Load(); n != 0 {
					t.Errorf("%s, arrives: %v: %d functions wait after the call", method, arrives, n)
				}
				if n := all.awaited(); n != 0 {
					t.Errorf("%s, arrives: %v: %v requests are awaited after the call", method, arrives, n)
				}
			})
		}
	}
}

// transport is gRPC's part of a stream.
type transport struct {
	localHead
	ended chan *status.Status
}

func (t *transport) WriteStatus(s *status.Status) error {
	t.ended <- s
	return nil
}

// A request that is on its way when the server stops still arrives, whether its call began before the stop or after it. One
// that does not come ends a moment later. That holds for a call, whose request gRPC reads, and for a watch.
func TestRequestsOnTheirWayAtAStop(t *testing.T) {
	call := func(ctx context.Context, all *requests, arrives <-chan time.Time) error {
		ctx, err := all.tap(ctx, &tap.Info{FullMethodName: "/grpc.health.v1.Health/Check"})
		if err != nil {
			return err
		}
		select {
		case <-arrives:
		case <-ctx.Done():
		}
		requestOf(ctx).received()
		return context.Cause(ctx)
	}
	watch := func(ctx context.Context, all *requests, arrives <-chan time.Time) error {
		ended := make(chan *status.Status, 1)
		ctx = grpc.NewContextWithServerTransportStream(ctx, &transport{ended: ended})
		return (&request{Context: ctx, all: all}).read(ctx, func() error {
			select {
			case <-arrives:
				return nil
			case end := <-ended:
				return end.Err()
			}
		})
	}
	for name, of := range map[string]func(context.Context, *requests, <-chan time.Time) error{"call": call, "watch": watch} {
		for _, begins := range []time.Duration{-3 * time.Second, 0, 100 * time.Millisecond} { // From the stop on.
			synctest.Test(t, func(t *testing.T) {
				stopping, stop := context.WithCancel(t.Context())
				time.AfterFunc(5*time.Second, stop)
				time.Sleep(5*time.Second + begins)
				all := newRequests(stopping, Config{})
				if err := of(t.Context(), all, time.After(StopTimeout/2)); err != nil {
					t.Errorf("%s, begun %v from the stop: %v", name, begins, err)
				}
				if n := all.awaited(); n != 0 {
					t.Errorf("%s: %v requests are awaited", name, n)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				stopping, stop := context.WithCancel(t.Context())
				time.AfterFunc(5*time.Second, stop)
				time.Sleep(5*time.Second + begins)
				err := of(t.Context(), newRequests(stopping, Config{}), time.After(time.Minute))
				if !errors.Is(err, errStopping) && !errors.Is(err, errOverdue) {
					t.Errorf("%s, begun %v from the stop, that does not come: %v", name, begins, err)
				}
			})
		}
	}
}

// The calls that have ended without a request are forgotten, even if many come within the time of one request. Those that
// wait are not.
func TestEndedCallsAreSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		defer stop()
		all := newRequests(stopping, Config{})
		begin := func() (context.Context, context.CancelFunc) {
			call, end := context.WithCancel(t.Context())
			ctx, err := all.tap(call, &tap.Info{FullMethodName: "/grpc.health.v1.Health/Check"})
			if err != nil {
				t.Fatal(err)
			}
			return ctx, end
		}
		const waiting, ended = 100, 100_000
		var waits []context.Context
		for range waiting {
			ctx, end := begin()
			defer end()
			waits = append(waits, ctx)
		}
		for range ended {
			_, end := begin()
			end()
			if all.length > minSweep+2*waiting {
				t.Fatalf("%d calls are remembered", all.length)
			}
		}
		if n := all.awaited(); n != waiting {
			t.Errorf("%v requests are awaited", n)
		}
		time.Sleep(RequestTimeout)
		synctest.Wait()
		for _, ctx := range waits {
			if !errors.Is(context.Cause(ctx), errOverdue) {
				t.Fatalf("a call without a request ends with %v", context.Cause(ctx))
			}
		}
		if all.length != 0 || all.timer != nil {
			t.Errorf("%d calls are remembered, and the timer %v", all.length, all.timer)
		}
	})
}

// opened is a stream whose header takes so long that meanwhile other things happen.
type opened struct {
	grpc.ServerStream
	meanwhile func()
	id        []string
}

func (o *opened) SendHeader(header metadata.MD) error {
	o.meanwhile()
	o.id = header.Get(caller.HeaderRequestID)
	return nil
}
func (o *opened) SendMsg(any) error { return nil }

// A watch that begins while another one does so leaves that one its request id, though gRPC gets the headers in shared maps.
func TestWatchesHaveTheirOwnRequestIDs(t *testing.T) {
	begin := func(id string, meanwhile func()) {
		s := &opened{meanwhile: meanwhile}
		if err := (&stream{ServerStream: s, call: call{who: caller.Caller{RequestID: id}}}).SendMsg(nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.id, []string{id}) {
			t.Errorf("%s was sent as %v", id, s.id)
		}
	}
	begin("first", func() { begin("second", func() {}) })
}
