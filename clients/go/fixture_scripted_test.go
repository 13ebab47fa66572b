package kootask_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

type stream = grpc.ServerStreamingServer[taskv1.WatchTaskResponse]

// scripted is a kootask that answers each attempt with the next step of a script, and notes when it came.
type scripted struct {
	taskv1.UnimplementedTaskServiceServer
	watch []func(stream) error
	list  []listStep
	get   func(context.Context, *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error)
	token func() (string, error) // The client's CallerToken.

	mu       sync.Mutex
	start    time.Time
	attempts []time.Duration
	callers  []string   // The caller's token of each attempt.
	lists    [][]string // The ids of each attempt of a list.
	streams  int        // Streams of lists that have not ended.
	metadata metadata.MD
	listener *bufconn.Listener
	server   *grpc.Server
}

func (s *scripted) GetTask(ctx context.Context, req *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	s.metadata, _ = metadata.FromIncomingContext(ctx)
	return s.get(ctx, req)
}

func (s *scripted) WatchTask(_ *taskv1.WatchTaskRequest, stream stream) error {
	s.mu.Lock()
	n := len(s.attempts)
	s.attempts = append(s.attempts, time.Since(s.start))
	s.callers = append(s.callers, fmt.Sprint(metadata.ValueFromIncomingContext(stream.Context(), "x-kootask-authorization")))
	s.mu.Unlock()
	return s.watch[min(n, len(s.watch)-1)](stream)
}

// up starts the server, after it was down or for the first time.
func (s *scripted) up() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.server = bufconn.Listen(64<<10), grpc.NewServer()
	taskv1.RegisterTaskServiceServer(s.server, s)
	listener, server := s.listener, s.server
	go func() { _ = server.Serve(listener) }()
}

// down kills the server, and all connections with it.
func (s *scripted) down() {
	s.mu.Lock()
	server, listener := s.server, s.listener
	s.listener = nil
	s.mu.Unlock()
	if listener != nil {
		_ = listener.Close()
		server.Stop()
	}
}

func (s *scripted) dial(ctx context.Context, _ string) (net.Conn, error) {
	s.mu.Lock()
	listener := s.listener
	s.mu.Unlock()
	if listener == nil {
		return nil, errors.New("connection refused")
	}
	return listener.DialContext(ctx)
}

// bubble runs test in virtual time with a client of a scripted server.
func bubble(t *testing.T, s *scripted, test func(t *testing.T, c *kootask.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.start = time.Now()
		s.up()
		c, err := kootask.New(kootask.Config{
			Addr: "passthrough:///kootask", Token: "geheim", CallerToken: s.token,
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(s.dial)},
		})
		if err != nil {
			t.Fatal(err)
		}
		test(t, c)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		s.down()
	})
}

// say is a step that sends tasks in these states and then ends with err.
func say(err error, statuses ...taskv1.TaskStatus) func(stream) error {
	return func(stream stream) error {
		for _, status := range statuses {
			done := status == taskv1.TaskStatus_TASK_STATUS_SUCCESS || status == taskv1.TaskStatus_TASK_STATUS_FAILED
			task := &taskv1.Task{TaskId: "9", Status: status, Done: done, ObserveTime: timestamppb.Now()}
			if err := stream.Send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: task}}); err != nil {
				return err
			}
		}
		return err
	}
}

// end is one of kootask's errors. A negative delay means that a retry does not help.
func end(code codes.Code, reason string, retry time.Duration) error {
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Domain: "koodrive.task.v1", Reason: reason, Metadata: map[string]string{"upstreamStatus": "401"}},
		&errdetails.RequestInfo{RequestId: "mine"},
	}
	if retry >= 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	st, err := status.New(code, "No.").WithDetails(details...)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// watch collects the events of a watch: states by name, "resume" with the delay, and the error.
func watch(ctx context.Context, c *kootask.Client, options ...kootask.Option) (all []string, err error) {
	for event, err := range c.Events(ctx, "9", options...) {
		switch {
		case err != nil:
			return all, err
		case event.Task != nil:
			all = append(all, strings.TrimPrefix(event.Task.GetStatus().String(), "TASK_STATUS_"))
		case event.Resume != nil:
			all = append(all, fmt.Sprintf("resume after %v", event.Resume.After))
		default:
			all = append(all, "heartbeat")
		}
	}
	return all, nil
}
