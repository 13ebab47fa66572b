package rpcserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub is a TaskService and an Operations with a function for their calls.
type stub struct {
	taskv1.UnimplementedTaskServiceServer
	longrunningpb.UnimplementedOperationsServer
	do func(context.Context) error
}

// methods are a unary method and one with a stream, and a method of another service.
var methods = []string{
	taskv1.TaskService_GetTask_FullMethodName, taskv1.TaskService_WatchTask_FullMethodName, longrunningpb.Operations_GetOperation_FullMethodName,
}

func (s stub) GetTask(ctx context.Context, _ *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	return &taskv1.GetTaskResponse{}, s.do(ctx)
}

func (s stub) GetOperation(ctx context.Context, _ *longrunningpb.GetOperationRequest) (*longrunningpb.Operation, error) {
	return &longrunningpb.Operation{}, s.do(ctx)
}

func (s stub) WatchTask(_ *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	return s.do(stream.Context())
}

// client is a client of the stub.
type client struct {
	taskv1.TaskServiceClient
	conn *grpc.ClientConn
}

func (s stub) WatchTasks(_ *taskv1.WatchTasksRequest, stream grpc.ServerStreamingServer[taskv1.WatchTasksResponse]) error {
	return s.do(stream.Context())
}

// anybody lets everybody call.
func anybody(_ context.Context, header metadata.MD, _ bool) (caller.Caller, error) {
	return caller.NewReader(caller.Forward, "").Read(header.Get)
}

// bubble runs test in virtual time with a server around a stub that does do. It returns the log.
func bubble(t *testing.T, do func(context.Context) error, test func(context.Context, *testing.T, client), options ...grpc.DialOption) string {
	t.Helper()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s, ctx, tasks := start(t, do, &log, options...)
		test(ctx, t, tasks)
		_ = tasks.conn.Close()
		stop, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if !s.Stop(stop) {
			t.Error("the stop was not graceful")
		}
	})
	return log.String()
}

// start starts a server around a stub that does do, and returns a client of it with a context that has a credential.
func start(t *testing.T, do func(context.Context) error, log io.Writer, options ...grpc.DialOption) (*rpcserver.Server, context.Context, client) {
	t.Helper()
	listener := koodrivetest.Listen()
	s := rpcserver.New(rpcserver.Config{
		Service: stub{do: do}, Operations: stub{do: do}, Who: anybody, Log: slog.New(slog.NewTextHandler(log, nil)),
		MaxStreams: rpcserver.MaxStreams,
	})
	go func() { _ = s.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///kootask", append([]grpc.DialOption{
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.Dial(ctx, "", "") }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return s, metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer geheim"), client{taskv1.NewTaskServiceClient(conn), conn}
}

func call(ctx context.Context, t *testing.T, tasks client, method string) error {
	t.Helper()
	switch method {
	case taskv1.TaskService_GetTask_FullMethodName:
		_, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{})
		return err
	case longrunningpb.Operations_GetOperation_FullMethodName:
		_, err := longrunningpb.NewOperationsClient(tasks.conn).GetOperation(ctx, &longrunningpb.GetOperationRequest{})
		return err
	}
	stream, err := tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	return err
}

func TestErrorsBecomeStatuses(t *testing.T) {
	for name, row := range map[string]struct {
		do     func(context.Context) error
		code   codes.Code
		reason string
	}{
		"an outcome": {func(context.Context) error { return &reason.Error{Outcome: reason.TaskNotFound} }, codes.NotFound, "TASK_NOT_FOUND"},
		"a panic":    {func(context.Context) error { panic("geheim") }, codes.Internal, "SERVER_ERROR"},
		"any error":  {func(context.Context) error { return errors.New("geheim") }, codes.Internal, "SERVER_ERROR"},
		"a status":   {func(context.Context) error { return status.Error(codes.NotFound, "geheim") }, codes.Internal, "SERVER_ERROR"},
		"no caller": {func(ctx context.Context) error {
			if who, ok := caller.FromContext(ctx); !ok || who.Authorization().Reveal() != "Bearer geheim" {
				return errors.New("who?")
			}
			return &reason.Error{Outcome: reason.ServerDraining}
		}, codes.Unavailable, "SERVER_DRAINING"},
	} {
		for _, method := range methods {
			log := bubble(t, row.do, func(ctx context.Context, t *testing.T, tasks client) {
				for range 2 { // The server lives on.
					st := status.Convert(call(ctx, t, tasks, method))
					if got, _ := reason.Read(st); st.Code() != row.code || got != row.reason || strings.Contains(st.String(), "geheim") {
						t.Errorf("%s, %s: %v %s", name, method, st, got)
					}
				}
			})
			if n := strings.Count(log, "\n"); n != 2 {
				t.Errorf("%s, %s: %d lines:\n%s", name, method, n, log)
			}
			if strings.Contains(log, "geheim") && name == "a panic" {
				t.Errorf("the value of a panic is in the log:\n%s", log)
			}
		}
	}
}

func TestDeadlineAndCancellation(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	}
	log := bubble(t, wait, func(ctx context.Context, t *testing.T, tasks client) {
		for _, method := range methods {
			late, cancel := context.WithTimeout(ctx, time.Second)
			_ = call(late, t, tasks, method)
			cancel()
			gone, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			_ = call(gone, t, tasks, method)
		}
	})
	// The server's status for them is only logged: the client's own library reports the error.
	if lines, ours := strings.Count(log, "\n"), strings.Count(log, "outcome=CALLER_"); lines != 2*len(methods) || ours != 2*len(methods) {
		t.Errorf("log:\n%s", log)
	}
}

// An unreadable request is the caller's fault, and its name is not logged.
func TestUnreadableRequests(t *testing.T) {
	ok := func(context.Context) error { return nil }
	log := bubble(t, ok, func(ctx context.Context, t *testing.T, tasks client) {
		stream, err := tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: strings.Repeat("x", rpcserver.MaxMessage)})
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		if status.Code(err) != codes.ResourceExhausted { // gRPC's library answers by itself.
			t.Errorf("a large request: %v", err)
		}
		if _, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: "Bearer geheim"}); err != nil {
			t.Error(err)
		}
	})
	if strings.Count(log, "level=WARN") != 1 || strings.Contains(log, "level=ERROR") || strings.Contains(log, "geheim") {
		t.Errorf("log:\n%s", log)
	}
}

// A line names the tasks of its call, however the request does, and nothing that is not a task id.
func TestTasksOfALine(t *testing.T) {
	get := func(id string) func(context.Context, client) {
		return func(ctx context.Context, tasks client) { _, _ = tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: id}) }
	}
	operation := func(name string) func(context.Context, client) {
		return func(ctx context.Context, tasks client) {
			_, _ = longrunningpb.NewOperationsClient(tasks.conn).CancelOperation(ctx, &longrunningpb.CancelOperationRequest{Name: name})
		}
	}
	watch := func(ids ...string) func(context.Context, client) {
		return func(ctx context.Context, tasks client) {
			if stream, err := tasks.WatchTasks(ctx, &taskv1.WatchTasksRequest{TaskIds: ids}); err == nil {
				_, _ = stream.Recv()
			}
		}
	}
	for _, row := range []struct {
		call func(context.Context, client)
		want string
	}{
		{get("1"), "task_id=1 "},
		{get("Bearer geheim"), `task_id="" `},
		{operation("operations/1"), "task_id=1 "},
		{operation("operations/Bearer geheim"), `task_id="" `},
		{operation("geheim"), `task_id="" `},
		{watch("2", "1", "2"), `task_id="" * tasks=2 task_ids="[2 1]"`},
		{watch("2", "Bearer geheim"), `task_id="" * tasks=2 task_ids=[2]`},
		{watch(), `task_id="" * tasks=0 task_ids=[]`},
	} {
		log := bubble(t, func(context.Context) error { return nil }, func(ctx context.Context, _ *testing.T, tasks client) { row.call(ctx, tasks) })
		first, second, many := strings.Cut(row.want, "*")
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, first) || !strings.Contains(log, second) || strings.Contains(log, "task_ids") != many ||
			strings.Contains(log, "geheim") {
			t.Errorf("want %s in\n%s", row.want, log)
		}
	}
}

func TestLimits(t *testing.T) {
	ok := func(context.Context) error { return nil }
	bubble(t, ok, func(ctx context.Context, t *testing.T, tasks client) {
		large := &taskv1.GetTaskRequest{TaskId: strings.Repeat("x", rpcserver.MaxMessage)}
		if _, err := tasks.GetTask(ctx, large); status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a large message: %v", err)
		}
		heavy := metadata.AppendToOutgoingContext(ctx, "x-heavy", strings.Repeat("x", rpcserver.MaxHeader))
		if _, err := tasks.GetTask(heavy, &taskv1.GetTaskRequest{}); err == nil {
			t.Error("a large header passes")
		}
		if _, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{}); err != nil {
			t.Errorf("after these: %v", err)
		}
	})
}
