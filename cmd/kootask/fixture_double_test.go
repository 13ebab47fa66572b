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

// double is a kootask for which every task has succeeded. It is a server of its own, with its own demands on clients.
type double struct {
	taskv1.UnimplementedTaskServiceServer
	// outcomes are how calls for these tasks fail.
	outcomes map[string]reason.Outcome
	// caller is the required caller's token, with Bearer. Empty: none is required.
	caller string
	// stream is done before a watch gets its task, with the number of the stream, from 0. Its error ends the stream. May be nil.
	stream func(n int, s grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error

	mu      sync.Mutex // Guards the fields below.
	callers []string   // The token of each call and stream.
	dialled int        // Connections that were accepted.
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

// admit notes the caller, and fails if the double is set to fail. It returns the number of earlier callers.
func (d *double) admit(ctx context.Context, id string) (before int, err error) {
	caller := append(metadata.ValueFromIncomingContext(ctx, "x-kootask-authorization"), "")[0]
	d.mu.Lock()
	before, d.callers = len(d.callers), append(d.callers, caller)
	d.mu.Unlock()
	outcome, fails := d.outcomes[id]
	if d.caller != "" && caller != d.caller {
		outcome, fails = reason.CallerNotAuthenticated, true
	}
	if fails {
		return before, (&reason.Error{Outcome: outcome}).Status("of-the-double", "").Err()
	}
	return before, nil
}

func (d *double) GetTask(ctx context.Context, req *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	if _, err := d.admit(ctx, req.GetTaskId()); err != nil {
		return nil, err
	}
	return &taskv1.GetTaskResponse{Task: succeeded(req.GetTaskId())}, nil
}

func (d *double) WatchTask(req *taskv1.WatchTaskRequest, s grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	n, err := d.admit(s.Context(), req.GetTaskId())
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
