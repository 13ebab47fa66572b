package wire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/kootask/kootask/bench/wire"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// checker answers a call for a task if its token is the task's id.
type checker struct {
	taskv1.UnimplementedTaskServiceServer
}

func (checker) GetTask(ctx context.Context, r *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if token := md.Get("authorization"); len(token) != 1 || token[0] != "Bearer "+r.GetTaskId() {
		return nil, status.Errorf(codes.Unauthenticated, "%q for %s", token, r.GetTaskId())
	}
	return &taskv1.GetTaskResponse{Task: &taskv1.Task{TaskId: r.GetTaskId()}}, nil
}

// Each call has its own token, in whatever order tokens come back, and each stream ends once with its status.
func TestCalls(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	taskv1.RegisterTaskServiceServer(server, checker{})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	c, err := wire.Dial(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	const calls = "aaaabbbabaabbbbaaa"
	open := func(id, token string) {
		t.Helper()
		request, err := proto.Marshal(&taskv1.GetTaskRequest{TaskId: id})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Open(taskv1.TaskService_GetTask_FullMethodName, token, wire.Message(request), false); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range calls {
		open(string(id), string(id))
	}
	open("a", "b")
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	contents, statuses := 0, map[uint32]string{}
	err = c.Serve(func(_ uint32, content []byte) error {
		var response taskv1.GetTaskResponse
		contents++
		return proto.Unmarshal(content[5:], &response)
	}, func(stream uint32, status string) error {
		if statuses[stream] != "" {
			t.Errorf("stream %d ended twice", stream)
		}
		if statuses[stream] = status; len(statuses) == len(calls)+1 {
			return io.EOF
		}
		return nil
	})
	if !errors.Is(err, io.EOF) || contents != len(calls) {
		t.Errorf("%d answers, then %v", contents, err)
	}
	for i := range calls {
		if got := statuses[uint32(2*i+1)]; got != "0" {
			t.Errorf("call %d of %s ended with status %q", i, calls, got)
		}
	}
	if got := statuses[uint32(2*len(calls)+1)]; got != "16" {
		t.Errorf("the call with another's token ended with status %q", got)
	}
}
