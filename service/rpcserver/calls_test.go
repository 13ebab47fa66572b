package rpcserver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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

// That a message does not reach a client which has left is no fault of ours.
func TestSendingToWhoHasLeft(t *testing.T) {
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

// What a call registers for the stop of the server is gone when its request has arrived, or with the call.
func TestCallsLeaveNothingBehind(t *testing.T) {
	for _, method := range []string{"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", taskv1.TaskService_WatchTask_FullMethodName} {
		for _, arrives := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				stopping := &counted{Context: t.Context()}
				call, end := context.WithCancel(t.Context())
				all := newRequests(stopping, Config{})
				stopping.waiting.Store(0) // Without the one of the whole server.
				ctx, err := all.tap(call, &tap.Info{FullMethodName: method})
				if err != nil || stopping.waiting.Load() != 0 || all.awaited() != 1 {
					t.Fatalf("%s: %v, %d functions wait, %v requests", method, err, stopping.waiting.Load(), all.awaited())
				}
				if arrives {
					requestOf(ctx).received()
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

// A request that is on its way when the server stops still arrives, whether its call began before the stop or after it. One
// that does not come ends a moment later.
func TestRequestsOnTheirWayAtAStop(t *testing.T) {
	for _, begins := range []time.Duration{-3 * time.Second, 0, 100 * time.Millisecond} { // From the stop on.
		for _, held := range []bool{false, true} {
			for _, late := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					stopping, stop := context.WithCancel(t.Context())
					time.AfterFunc(5*time.Second, stop)
					time.Sleep(5*time.Second + begins)
					call, end := context.WithCancel(t.Context())
					defer end()
					ctx, err := newRequests(stopping, Config{}).tap(call, &tap.Info{FullMethodName: taskv1.TaskService_WatchTask_FullMethodName})
					if err != nil {
						t.Fatal(err)
					}
					if held { // While the caller is checked, which may take longer than anything else.
						requestOf(ctx).hold()
						time.Sleep(10 * time.Second)
						if ctx.Err() != nil {
							t.Error("the call ends while its caller is checked")
						}
						requestOf(ctx).resume()
					}
					if !late {
						time.Sleep(StopTimeout / 2)
						requestOf(ctx).received()
						time.Sleep(time.Minute)
						if ctx.Err() != nil {
							t.Errorf("begun %v from the stop, held: %v: the call ends with %v", begins, held, context.Cause(ctx))
						}
						return
					}
					time.Sleep(RequestTimeout)
					if !errors.Is(context.Cause(ctx), errStopping) && !errors.Is(context.Cause(ctx), errOverdue) {
						t.Errorf("begun %v from the stop, held: %v: the call does not end", begins, held)
					}
				})
			}
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
