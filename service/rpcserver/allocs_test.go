//go:build !race

package rpcserver

import (
	"context"
	"log/slog"
	"net"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/tap"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

type fixed struct {
	taskv1.UnimplementedTaskServiceServer
	answer taskv1.GetTaskResponse
}

func (f *fixed) GetTask(context.Context, *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	return &f.answer, nil
}

// The wait for the request of a GetTask is one allocation.
func TestAllocsOfRequest(t *testing.T) {
	const most = 1
	all := newRequests(t.Context(), Config{})
	info := &tap.Info{FullMethodName: taskv1.TaskService_GetTask_FullMethodName, Header: metadata.Pairs("authorization", "Bearer a")}
	if n := testing.AllocsPerRun(100, func() {
		call, end := context.WithCancel(t.Context())
		ctx, _ := all.tap(call, info)
		_ = requestOf(ctx).read(ctx, func() error { return nil })
		end()
	}); n > most+2 { // Two are the stream's own.
		t.Errorf("%v allocations", n)
	}
}

// A call in this process, with its log line and its metrics, without its service.
func TestAllocsOfCall(t *testing.T) {
	const most = 20
	log := slog.New(discard{slog.DiscardHandler})
	tasks := taskv1.NewTaskServiceClient(NewLocal(&fixed{answer: taskv1.GetTaskResponse{Task: &taskv1.Task{}}}, log, prometheus.NewRegistry()))
	ctx := caller.NewContext(t.Context(), &caller.Caller{RequestID: "a-request.1"})
	request := &taskv1.GetTaskRequest{TaskId: "1534087020903704704"}
	if n := testing.AllocsPerRun(100, func() { _, _ = tasks.GetTask(ctx, request) }); n > most {
		t.Errorf("%v allocations", n)
	}
}

// A call over a connection, with those of gRPC and its client.
func TestAllocsOfServedCall(t *testing.T) {
	const most = 176
	listener := koodrivetest.Listen()
	s := New(Config{Service: &fixed{}, Who: anybody, Log: slog.New(discard{slog.DiscardHandler})})
	go func() { _ = s.Serve(listener) }()
	defer s.Stop(t.Context())
	conn, err := grpc.NewClient("passthrough:///kootask", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.Dial(ctx, "", "") }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer geheim")
	tasks, request := taskv1.NewTaskServiceClient(conn), &taskv1.GetTaskRequest{TaskId: "1534087020903704704"}
	if n := testing.AllocsPerRun(1000, func() { _, err = tasks.GetTask(ctx, request) }); n > most || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}

// discard is a handler that lines are made for.
type discard struct{ slog.Handler }

func (discard) Enabled(context.Context, slog.Level) bool { return true }
