package main

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// double is a kootask on which every task has succeeded. It shares no server code with kootask, and checks clients by itself.
type double struct {
	taskv1.UnimplementedTaskServiceServer
	// outcomes are the errors of calls for these tasks.
	outcomes map[string]reason.Outcome
	// caller is the required token of a caller, with Bearer. Empty: none is required.
	caller string
	// stream runs before a watch gets its task, with the number of the stream, from 0. Its error ends the stream. May be nil.
	stream func(n int, s grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error

	mu      sync.Mutex    // Guards the following fields.
	callers []string      // The token of each call and stream.
	headers []metadata.MD // The header of each call and stream.
	dialled int           // Number of accepted connections.
}

// serve serves the double on a loopback port until the test ends: in plaintext if config is nil. It returns the port.
func (d *double) serve(t *testing.T, config *tls.Config) (port string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	security := insecure.NewCredentials()
	if config != nil {
		security = credentials.NewTLS(config)
	}
	server := grpc.NewServer(grpc.Creds(security))
	taskv1.RegisterTaskServiceServer(server, d)
	go func() { _ = server.Serve(counting{listener, d}) }()
	t.Cleanup(server.Stop)
	_, port, _ = net.SplitHostPort(listener.Addr().String())
	return port
}

type counting struct {
	net.Listener
	d *double
}

func (c counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.d.mu.Lock()
		c.d.dialled++
		c.d.mu.Unlock()
	}
	return conn, err
}

// record counts a call, and fails as the double is configured. It returns the number of earlier calls.
func (d *double) record(ctx context.Context, id string) (before int, err error) {
	header, _ := metadata.FromIncomingContext(ctx)
	caller := append(header.Get("x-kootask-authorization"), "")[0]
	d.mu.Lock()
	before, d.callers, d.headers = len(d.callers), append(d.callers, caller), append(d.headers, header)
	d.mu.Unlock()
	language := append(metadata.ValueFromIncomingContext(ctx, "language"), "")[0]
	outcome, fails := d.outcomes[id]
	if d.caller != "" && caller != d.caller {
		outcome, fails = reason.CallerNotAuthenticated, true
	}
	if fails {
		return before, (&reason.Error{Outcome: outcome}).Status("of-the-double", language).Err()
	}
	return before, nil
}

func (d *double) GetTask(ctx context.Context, req *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	if _, err := d.record(ctx, req.GetTaskId()); err != nil {
		return nil, err
	}
	return &taskv1.GetTaskResponse{Task: succeeded(req.GetTaskId())}, nil
}

func (d *double) WatchTask(req *taskv1.WatchTaskRequest, s grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	n, err := d.record(s.Context(), req.GetTaskId())
	if err == nil && d.stream != nil {
		err = d.stream(n, s)
	}
	if err != nil {
		return err
	}
	return s.Send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: succeeded(req.GetTaskId())}})
}

func succeeded(id string) *taskv1.Task {
	return &taskv1.Task{TaskId: id, Status: taskv1.TaskStatus_TASK_STATUS_SUCCESS, Done: true}
}
