package rpcserver_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/rpcserver"
)

// streaming is a TaskService whose watches do what a test wants.
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
		ctx := caller.NewContext(t.Context(), caller.Caller{RequestID: "one", Language: reason.Chinese})
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
			log := local(t, streaming{stub{do: row.do}, watch}, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, _ *rpcserver.Local) {
				ctx, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				var header, trailer metadata.MD
				_, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: "1"}, grpc.Header(&header), grpc.Trailer(&trailer))
				checkLocal(t, "GetTask", err, row.code, row.want, header, trailer)

				stream, err := tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: "1"})
				if err != nil {
					t.Fatal(err)
				}
				header, _ = stream.Header()
				if _, err = stream.Recv(); err == nil {
					if _, end := stream.Recv(); !errors.Is(end, io.EOF) {
						t.Errorf("the stream ends with %v", end)
					}
				}
				checkLocal(t, "WatchTask", err, row.code, row.want, header, stream.Trailer())
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
	local(t, service, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, _ *rpcserver.Local) {
		stream, err := tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: "1", FailedTaskAsError: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := stream.Recv(); err != nil || got.GetTask() != task {
			t.Errorf("got %p, %v, want %p", got.GetTask(), err, task)
		}
		_, err = tasks.GetTask(context.WithoutCancel(t.Context()), &taskv1.GetTaskRequest{})
		if name, _ := reason.Read(status.Convert(err)); name != "SERVER_ERROR" {
			t.Errorf("without a caller: %v", err)
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

// A handler waits for a client that does not read: with one message on the way and one in its hands.
func TestLocalBackPressure(t *testing.T) {
	var sent atomic.Int32
	watch := func(_ *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
		for range 10 {
			if err := stream.Send(&taskv1.WatchTaskResponse{}); err != nil {
				return err
			}
			sent.Add(1)
		}
		return nil
	}
	local(t, streaming{watch: watch}, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, _ *rpcserver.Local) {
		ctx, leave := context.WithCancel(ctx)
		defer leave()
		stream, err := tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{})
		if err != nil {
			t.Fatal(err)
		}
		for read := range int32(4) {
			synctest.Wait()
			if n := sent.Load(); n != read+1 {
				t.Errorf("%d messages are sent, and %d read", n, read)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		}
		leave()
		for err == nil { // What is on the way still comes.
			_, err = stream.Recv()
		}
		if status.Code(err) != codes.Canceled {
			t.Errorf("a client that has left: %v", err)
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
				for _, method := range methods {
					go func() { _ = call(ctx, t, client{TaskServiceClient: tasks}, method) }()
				}
				synctest.Wait()
				start := time.Now()
				stop, cancel := context.WithTimeout(t.Context(), row.grace)
				defer cancel()
				if graceful := l.Stop(stop); graceful != row.graceful || time.Since(start) != row.stops {
					t.Errorf("graceful: %v, after %v", graceful, time.Since(start))
				}
				err := call(ctx, t, client{TaskServiceClient: tasks}, "GetTask")
				if name, _ := reason.Read(status.Convert(err)); name != "SERVER_DRAINING" {
					t.Errorf("a late call: %v", err)
				}
			})
		})
	}
}
