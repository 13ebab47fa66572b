package kootask_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	created   = taskv1.TaskStatus_TASK_STATUS_NEW
	executing = taskv1.TaskStatus_TASK_STATUS_EXECUTING
	success   = taskv1.TaskStatus_TASK_STATUS_SUCCESS
	failed    = taskv1.TaskStatus_TASK_STATUS_FAILED
)

func TestWatchEndsOnLastingErrors(t *testing.T) {
	for name, row := range map[string]struct {
		end  error
		code codes.Code
	}{
		"credential refused": {end(codes.Unauthenticated, "CREDENTIAL_REJECTED", -1), codes.Unauthenticated},
		"a fault":            {end(codes.Internal, "SERVER_ERROR", -1), codes.Internal},
		"not kootask":        {status.Error(codes.Unimplemented, "unknown service"), codes.Unimplemented},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{watch: []func(stream) error{say(row.end, executing)}}
			bubble(t, s, func(t *testing.T, c *kootask.Client) {
				got, err := watch(t.Context(), c)
				var failure *kootask.Error
				if !errors.As(err, &failure) || failure.Code != row.code || !slices.Equal(got, []string{"EXECUTING"}) || len(s.attempts) != 1 {
					t.Errorf("saw %q, %v in %d attempts", got, err, len(s.attempts))
				}
			})
		})
	}
}

func TestLeavingTheLoopEndsTheWatch(t *testing.T) {
	s := &scripted{watch: []func(stream) error{say(end(codes.Unavailable, "SERVER_DRAINING", time.Second), created, executing)}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		for range c.Watch(t.Context(), "9") {
			break
		}
		for event := range c.Events(t.Context(), "9") {
			if event.Resume != nil {
				break
			}
		}
		time.Sleep(time.Hour)
		if len(s.attempts) != 2 {
			t.Errorf("%d attempts", len(s.attempts))
		}
	})
}

// Another HTTP/2 server is given up after a few attempts, and its own error is reported.
func TestWatchOfSomethingElseEnds(t *testing.T) {
	for _, code := range []codes.Code{codes.Unavailable, codes.Internal, codes.Unknown, codes.Canceled} {
		s := &scripted{watch: []func(stream) error{say(status.Error(code, "I am no kootask"))}}
		bubble(t, s, func(t *testing.T, c *kootask.Client) {
			_, err := watch(t.Context(), c)
			if err == nil || !strings.Contains(err.Error(), "I am no kootask") || len(s.attempts) != 5 || errors.Is(err, context.Canceled) {
				t.Errorf("%v: %v in %d attempts", code, err, len(s.attempts))
			}
		})
	}
}

// A caller that takes longer for an event than the limit of silence does not break the stream.
func TestSlowCallerBreaksNothing(t *testing.T) {
	s := &scripted{watch: []func(stream) error{say(nil, created, executing, success)}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		var got []taskv1.TaskStatus
		for task, err := range c.Watch(t.Context(), "9") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, task.GetStatus())
			time.Sleep(70 * time.Second)
		}
		if !slices.Equal(got, []taskv1.TaskStatus{created, executing, success}) || len(s.attempts) != 1 {
			t.Errorf("saw %v in %d attempts", got, len(s.attempts))
		}
	})
}

// The failed task came, and the connection broke before the error that was asked for: it is made here.
func TestFailedTaskWithoutItsError(t *testing.T) {
	s := &scripted{watch: []func(stream) error{say(status.Error(codes.Unavailable, "broken"), failed), say(end(codes.NotFound, "TASK_NOT_FOUND", -1))}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		got, err := watch(t.Context(), c, kootask.FailedTaskAsError())
		var failure *kootask.Error
		if !errors.As(err, &failure) || !failure.Has(taskv1.ErrorReason_TASK_FAILED) || failure.Metadata["taskId"] != "9" ||
			!slices.Equal(got, []string{"FAILED"}) || len(s.attempts) != 1 || status.Code(err) != codes.Aborted {
			t.Errorf("saw %q, %v in %d attempts", got, err, len(s.attempts))
		}
	})
}

// A reason of another domain is ignored.
func TestForeignReasons(t *testing.T) {
	st, err := status.New(codes.PermissionDenied, "No.").WithDetails(&errdetails.ErrorInfo{Domain: "proxy.test", Reason: "TASK_NOT_FOUND"})
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{get: func(context.Context, *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) { return nil, st.Err() }}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		var failure *kootask.Error
		if _, err := c.Get(t.Context(), "9"); !errors.As(err, &failure) || failure.Reason != "" || failure.Code != codes.PermissionDenied {
			t.Errorf("%+v", failure)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Get(ctx, "9"); !errors.Is(err, context.Canceled) {
			t.Errorf("after the caller has cancelled: %v", err)
		}
	})
}

// An idle client and a silent watch keep their connection to the real server: it is not pinged more often than that allows.
func TestKeepaliveSuitsTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		addr, stop := startServer()
		defer stop()
		dials := 0
		counted := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			dials++
			return addr.connect(ctx)
		})
		c, err := kootask.New(kootask.Config{Addr: addr.name, Token: "secret", DialOptions: []grpc.DialOption{counted}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		for event, err := range c.Events(ctx, "1534087020903704706") { // It never finishes.
			if event.Resume != nil {
				t.Errorf("interrupted by %v", event.Resume.Cause)
			}
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		if dials != 1 {
			t.Errorf("%d connections", dials)
		}
		_ = c.Close()
	})
}

// The program's user agent precedes the client's, and gRPC's is last.
func TestUserAgent(t *testing.T) {
	for agent, want := range map[string]string{"": "kootask-go grpc-go/", "orders/1.2": "orders/1.2 kootask-go grpc-go/"} {
		synctest.Test(t, func(t *testing.T) {
			s := &scripted{get: func(context.Context, *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
				return &taskv1.GetTaskResponse{}, nil
			}}
			s.up()
			c, err := kootask.New(kootask.Config{
				Addr: "passthrough:///kootask", UserAgent: agent, DialOptions: []grpc.DialOption{grpc.WithContextDialer(s.dial)},
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get(t.Context(), "9"); err != nil {
				t.Error(err)
			}
			if got := fmt.Sprint(s.metadata["user-agent"]); !strings.HasPrefix(got, "["+want) {
				t.Errorf("%q, want %q", got, want)
			}
			_ = c.Close()
			s.down()
		})
	}
	if _, err := kootask.New(kootask.Config{Addr: "127.0.0.1:9090", UserAgent: "a\nb"}); err == nil || !strings.Contains(err.Error(), "the user agent must be") {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	certificates := httptest.NewUnstartedServer(nil)
	certificates.StartTLS()
	defer certificates.Close()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: certificates.TLS.Certificates, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	taskv1.RegisterTaskServiceServer(server, &scripted{get: func(context.Context, *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
		return &taskv1.GetTaskResponse{Task: &taskv1.Task{TaskId: "9"}}, nil
	}})
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()
	pool := x509.NewCertPool()
	pool.AddCert(certificates.Certificate())
	for name, row := range map[string]struct {
		config *tls.Config
		works  bool
	}{"its certificate": {&tls.Config{RootCAs: pool}, true}, "the system's roots": {&tls.Config{}, false}, "plaintext": {nil, false}} {
		c, err := kootask.New(kootask.Config{Addr: listener.Addr().String(), TLS: row.config})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), "9"); (err == nil) != row.works {
			t.Errorf("with %s: %v", name, err)
		}
		_ = c.Close()
	}
}

func TestUnreachableServerEndsTheWatch(t *testing.T) {
	s := &scripted{}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		s.down()
		got, err := watch(t.Context(), c)
		var failure *kootask.Error
		if !errors.As(err, &failure) || failure.Code != codes.Unavailable || failure.Reason != "" || got != nil {
			t.Errorf("saw %q, %v", got, err)
		}
	})
}

func TestFailedTask(t *testing.T) {
	asError := end(codes.Aborted, "TASK_FAILED", -1)
	s := &scripted{watch: []func(stream) error{say(asError, failed)}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		if got, err := watch(t.Context(), c); err != nil || !slices.Equal(got, []string{"FAILED"}) {
			t.Errorf("as a value: %q, %v", got, err)
		}
		got, err := watch(t.Context(), c, kootask.FailedTaskAsError())
		var failure *kootask.Error
		if !errors.As(err, &failure) || !failure.Has(taskv1.ErrorReason_TASK_FAILED) || !slices.Equal(got, []string{"FAILED"}) {
			t.Errorf("as an error: %q, %v", got, err)
		}
	})
}

func TestGet(t *testing.T) {
	s := &scripted{get: func(_ context.Context, req *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
		if req.GetTaskId() == "9" {
			return &taskv1.GetTaskResponse{Task: &taskv1.Task{TaskId: "9", Status: executing}}, nil
		}
		st, err := status.Convert(end(codes.InvalidArgument, "REQUEST_INVALID", time.Second)).WithDetails(&errdetails.BadRequest{
			FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "task_id", Reason: "RESERVED", Description: "No."}},
		}, &errdetails.LocalizedMessage{Locale: "zh-CN", Message: "不行"})
		if err != nil {
			return nil, err
		}
		return nil, st.Err()
	}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		task, err := c.Get(t.Context(), "9", kootask.UserID("42"), kootask.Language("zh-CN"), kootask.MaxAge(time.Second))
		if err != nil || task.GetStatus() != executing {
			t.Errorf("%v, %v", task, err)
		}
		if fmt.Sprint(s.metadata["authorization"], s.metadata["x-user-id"], s.metadata["language"]) != "[geheim] [42] [zh-CN]" {
			t.Errorf("metadata %v", map[string][]string(s.metadata))
		}
		_, err = c.Get(t.Context(), "list", kootask.Token("other"))
		var failure *kootask.Error
		if !errors.As(err, &failure) || failure.Reason != "REQUEST_INVALID" || failure.RequestID != "mine" || !failure.Retry ||
			failure.RetryAfter != time.Second || failure.Metadata["upstreamStatus"] != "401" || len(failure.Violations) != 1 ||
			failure.LocalizedMessage != "不行" ||
			failure.Violations[0] != (kootask.Violation{Field: "task_id", Reason: "RESERVED", Description: "No."}) {
			t.Errorf("%+v", failure)
		}
		if s.metadata["authorization"][0] != "other" || status.Code(err) != codes.InvalidArgument {
			t.Errorf("metadata %v, code %v", map[string][]string(s.metadata), status.Code(err))
		}
	})
}
