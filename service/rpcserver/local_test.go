package rpcserver_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/rpcserver"
)

// streaming is a TaskService with a function for its watches.
type streaming struct {
	stub
	watch func(*taskv1.WatchTaskRequest, grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error
}

func (s streaming) WatchTask(req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	return s.watch(req, stream)
}

// local runs test in virtual time with a Local around a service, and a context that has a caller.
func local(t *testing.T, service taskv1.TaskServiceServer, test func(context.Context, *testing.T, taskv1.TaskServiceClient, *rpcserver.Local)) string {
	t.Helper()
	var log strings.Builder
	synctest.Test(t, func(t *testing.T) {
		l := rpcserver.NewLocal(service, slog.New(slog.NewTextHandler(&log, nil)), nil)
		ctx := caller.NewContext(t.Context(), &caller.Caller{RequestID: "one", Language: reason.Chinese})
		test(ctx, t, taskv1.NewTaskServiceClient(l), l)
		l.Stop(t.Context())
	})
	return log.String()
}

// A call without a wire answers, fails, panics and ends as one over a wire does: with the request id as a header of an
// answer, and as a trailer of an error, which has no header.
func TestLocalCalls(t *testing.T) {
	for name, row := range map[string]struct {
		do   func(context.Context) error
		code codes.Code
		want string
	}{
		"an answer": {func(context.Context) error { return nil }, codes.OK, ""},
		"an error":  {func(context.Context) error { return &reason.Error{Outcome: reason.TaskNotFound} }, codes.NotFound, "TASK_NOT_FOUND"},
		"a panic":   {func(context.Context) error { panic("geheim") }, codes.Internal, "SERVER_ERROR"},
		"the deadline": {func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, codes.DeadlineExceeded, "CALLER_DEADLINE"},
	} {
		t.Run(name, func(t *testing.T) {
			watch := func(_ *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
				if err := row.do(stream.Context()); err != nil {
					return err
				}
				return stream.Send(&taskv1.WatchTaskResponse{})
			}
			log := local(t, streaming{stub{do: row.do}, watch}, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, l *rpcserver.Local) {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				var header, trailer metadata.MD
				_, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: "1"}, grpc.Header(&header), grpc.Trailer(&trailer))
				checkLocal(t, "GetTask", err, row.code, row.want, header, trailer)

				sink := &sink{}
				err = watchLocal(ctx, l, sink)
				if name, _ := reason.Read(status.Convert(err)); status.Code(err) != row.code || name != row.want {
					t.Errorf("WatchTask: %v, %q", err, name)
				}
				if n := len(sink.got); (n == 1) != (err == nil) {
					t.Errorf("%d messages", n)
				}
			})
			if n := strings.Count(log, "msg=call"); n != 2 || strings.Contains(log, "geheim") {
				t.Errorf("%d lines are logged:\n%s", n, log)
			}
		})
	}
}

func checkLocal(t *testing.T, method string, err error, code codes.Code, want string, header, trailer metadata.MD) {
	t.Helper()
	name, _ := reason.Read(status.Convert(err))
	if status.Code(err) != code || name != want {
		t.Errorf("%s: %v, %q", method, err, name)
	}
	got, other := header, trailer
	if err != nil {
		got, other = trailer, header
	}
	if id := got.Get(caller.HeaderRequestID); len(id) != 1 || id[0] != "one" || len(other.Get(caller.HeaderRequestID)) != 0 {
		t.Errorf("%s: header %v, trailer %v", method, header, trailer)
	}
}

// A request and its answers are shared, not copied, and a caller who is not in the context is a bug.
func TestLocalMessagesAreShared(t *testing.T) {
	task := &taskv1.Task{TaskId: "1"}
	watch := func(req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
		if req.GetTaskId() != "1" || !req.GetFailedTaskAsError() {
			t.Errorf("the request is %v", req)
		}
		return stream.Send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: task}})
	}
	service := streaming{stub{do: func(context.Context) error { return nil }}, watch}
	local(t, service, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, l *rpcserver.Local) {
		sink := &sink{}
		if err := watchLocal(ctx, l, sink); err != nil || len(sink.got) != 1 || sink.got[0].GetTask() != task {
			t.Errorf("got %v, %v, want %p", sink.got, err, task)
		}
		_, err := tasks.GetTask(context.WithoutCancel(t.Context()), &taskv1.GetTaskRequest{})
		if name, _ := reason.Read(status.Convert(err)); name != "SERVER_ERROR" {
			t.Errorf("without a caller: %v", err)
		}
	})
}

// A Local has the methods of TaskService, each in its kind, and no others.
func TestLocalMethods(t *testing.T) {
	ok := stub{do: func(context.Context) error { return nil }}
	local(t, ok, func(ctx context.Context, t *testing.T, _ taskv1.TaskServiceClient, l *rpcserver.Local) {
		for _, method := range []string{
			taskv1.TaskService_WatchTask_FullMethodName, longrunningpb.Operations_GetOperation_FullMethodName, "GetTask", "/grpc.health.v1.Health/Check", "",
		} {
			if err := l.Invoke(ctx, method, &taskv1.GetTaskRequest{}, &taskv1.GetTaskResponse{}); err == nil || !strings.Contains(err.Error(), "not a unary method") {
				t.Errorf("%q: %v", method, err)
			}
		}
		for _, method := range []string{taskv1.TaskService_GetTask_FullMethodName, longrunningpb.Operations_GetOperation_FullMethodName, ""} {
			if err := l.Stream(ctx, method, &taskv1.GetTaskRequest{}, &sink{}); err == nil || !strings.Contains(err.Error(), "not a streaming method") {
				t.Errorf("%q: %v", method, err)
			}
		}
	})
}

// The caller is that of the context. Outgoing metadata, in which grpc-gateway puts headers of a request, is nothing to a Local.
func TestLocalIgnoresMetadata(t *testing.T) {
	do := func(ctx context.Context) error {
		md, _ := metadata.FromIncomingContext(ctx)
		if who, _ := caller.FromContext(ctx); who.RequestID != "one" || who.UserID != "" || len(md) != 0 {
			t.Errorf("the handler sees %+v, and %v", who, md)
		}
		return nil
	}
	local(t, stub{do: do}, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, _ *rpcserver.Local) {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer other", "x-user-id", "other", "x-request-id", "two")
		if _, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{}); err != nil {
			t.Error(err)
		}
	})
}

// sink keeps the messages. While it does not read, Send blocks until it is cut.
type sink struct {
	got    []*taskv1.WatchTaskResponse
	paused chan struct{} // Closed by Cut. Nil: it reads.
	cut    atomic.Bool
}

func (s *sink) Send(m *message.Message) error {
	if s.paused != nil {
		<-s.paused
		return errCut
	}
	s.got = append(s.got, m.Message.(*taskv1.WatchTaskResponse))
	return nil
}

func (s *sink) Cut() {
	if !s.cut.Swap(true) {
		close(s.paused)
	}
}

var errCut = errors.New("cut")

func watchLocal(ctx context.Context, l *rpcserver.Local, sink message.Sink) error {
	request := &taskv1.WatchTaskRequest{TaskId: "1", FailedTaskAsError: true}
	return l.Stream(ctx, taskv1.TaskService_WatchTask_FullMethodName, request, sink)
}

// A message that another goroutine sends to a client that does not read is cut when the handler returns. Stream returns
// after it, and later messages are refused.
func TestLocalStreamsCutStuckSends(t *testing.T) {
	sent := make(chan error, 1)
	var late grpc.ServerStreamingServer[taskv1.WatchTaskResponse]
	watch := func(_ *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
		late = stream
		go func() { sent <- stream.Send(&taskv1.WatchTaskResponse{}) }()
		<-time.After(time.Second)
		return &reason.Error{Outcome: reason.WatcherTooSlow}
	}
	local(t, streaming{watch: watch}, func(ctx context.Context, t *testing.T, _ taskv1.TaskServiceClient, l *rpcserver.Local) {
		start, sink := time.Now(), &sink{paused: make(chan struct{})}
		if err := watchLocal(ctx, l, sink); status.Code(err) != codes.ResourceExhausted || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		synctest.Wait()
		select {
		case err := <-sent:
			if !sink.cut.Load() || err == nil {
				t.Errorf("cut %v, the message ended with %v", sink.cut.Load(), err)
			}
		default:
			t.Error("the message is still on its way")
		}
		sink.paused = nil
		if err := late.Send(&taskv1.WatchTaskResponse{}); err == nil {
			t.Error("a message was sent after the end")
		}
	})
}

// A stop refuses new calls and waits for those in flight: until they end, or until its time is over. Then it breaks them
// off, and waits for their handlers all the same.
func TestLocalStop(t *testing.T) {
	for name, row := range map[string]struct {
		takes, grace, stops time.Duration
		graceful            bool
	}{
		"in time":  {time.Second, 10 * time.Second, time.Second, true},
		"too late": {time.Hour, 10 * time.Second, 11 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			do := func(ctx context.Context) error {
				select {
				case <-time.After(row.takes):
					return nil
				case <-ctx.Done():
					<-time.After(time.Second) // It has something to put away.
					return ctx.Err()
				}
			}
			local(t, stub{do: do}, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, l *rpcserver.Local) {
				go func() { _ = call(ctx, t, client{TaskServiceClient: tasks}, taskv1.TaskService_GetTask_FullMethodName) }()
				go func() { _ = watchLocal(ctx, l, &sink{}) }()
				synctest.Wait()
				start := time.Now()
				stop, cancel := context.WithTimeout(t.Context(), row.grace)
				defer cancel()
				if graceful := l.Stop(stop); graceful != row.graceful || time.Since(start) != row.stops {
					t.Errorf("graceful: %v, after %v", graceful, time.Since(start))
				}
				err := call(ctx, t, client{TaskServiceClient: tasks}, taskv1.TaskService_GetTask_FullMethodName)
				if name, _ := reason.Read(status.Convert(err)); name != "SERVER_DRAINING" {
					t.Errorf("a late call: %v", err)
				}
			})
		})
	}
}

// The header of a call stays as it is while others are answered.
func TestLocalHeadersAreKept(t *testing.T) {
	ok := stub{do: func(context.Context) error { return nil }}
	local(t, ok, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, _ *rpcserver.Local) {
		var all [3]metadata.MD
		for i := range all {
			ctx := caller.NewContext(ctx, &caller.Caller{RequestID: fmt.Sprint(i)})
			if _, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: "1"}, grpc.Header(&all[i])); err != nil {
				t.Fatal(err)
			}
		}
		for i, header := range all {
			if got := header.Get(caller.HeaderRequestID); !slices.Equal(got, []string{fmt.Sprint(i)}) {
				t.Errorf("call %d: %q", i, got)
			}
		}
	})
}
