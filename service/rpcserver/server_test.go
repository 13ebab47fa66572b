package rpcserver_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/rpcserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub is a TaskService that does what a test wants.
type stub struct {
	taskv1.UnimplementedTaskServiceServer
	do func(context.Context) error
}

func (s stub) GetTask(ctx context.Context, _ *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	return &taskv1.GetTaskResponse{}, s.do(ctx)
}

func (s stub) WatchTask(_ *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	return s.do(stream.Context())
}

// bubble runs test in virtual time with a server around a stub that does do. It returns what was logged.
func bubble(t *testing.T, do func(context.Context) error, test func(context.Context, *testing.T, taskv1.TaskServiceClient), options ...grpc.DialOption) string {
	t.Helper()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		listener := bufconn.Listen(64 << 10)
		s := rpcserver.New(rpcserver.Config{
			Service: stub{do: do}, Callers: caller.NewReader(caller.Forward), Log: slog.New(slog.NewTextHandler(&log, nil)),
			MaxStreams: rpcserver.MaxStreams,
		})
		go func() { _ = s.Serve(listener) }()
		conn, err := grpc.NewClient("passthrough:///kootask", append([]grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
			grpc.WithTransportCredentials(insecure.NewCredentials()),
		}, options...)...)
		if err != nil {
			t.Fatal(err)
		}
		test(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer geheim"), t, taskv1.NewTaskServiceClient(conn))
		_ = conn.Close()
		stop, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if !s.Stop(stop) {
			t.Error("the stop was not graceful")
		}
	})
	return log.String()
}

func call(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient, method string) error {
	t.Helper()
	if method == "GetTask" {
		_, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{})
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
			if who, ok := caller.FromContext(ctx); !ok || who.Authorization() != "Bearer geheim" {
				return errors.New("who?")
			}
			return &reason.Error{Outcome: reason.ServerDraining}
		}, codes.Unavailable, "SERVER_DRAINING"},
	} {
		for _, method := range []string{"GetTask", "WatchTask"} {
			log := bubble(t, row.do, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient) {
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
	log := bubble(t, wait, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient) {
		for _, method := range []string{"GetTask", "WatchTask"} {
			late, cancel := context.WithTimeout(ctx, time.Second)
			_ = call(late, t, tasks, method)
			cancel()
			gone, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			_ = call(gone, t, tasks, method)
		}
	})
	// What the server makes of them is for the log: the client's own library tells the client.
	if lines, ours := strings.Count(log, "\n"), strings.Count(log, "outcome=CALLER_"); lines != 4 || ours != 4 {
		t.Errorf("log:\n%s", log)
	}
}

// Clients may ping every 20 s, and are told to go away if they do so much more often.
func TestPings(t *testing.T) {
	wait := func(ctx context.Context) error {
		select {
		case <-time.After(10 * time.Minute):
			return &reason.Error{Outcome: reason.TaskNotFound}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	bubble(t, wait, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient) {
		if err := call(ctx, t, tasks, "WatchTask"); status.Code(err) != codes.NotFound {
			t.Errorf("a client that pings every 20 s: %v", err)
		}
	}, grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: rpcserver.ClientPing}))
}

func TestLimits(t *testing.T) {
	ok := func(context.Context) error { return nil }
	bubble(t, ok, func(ctx context.Context, t *testing.T, tasks taskv1.TaskServiceClient) {
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
