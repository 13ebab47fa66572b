package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// The forms of a file with the caller's token.
func TestCallerTokenFile(t *testing.T) {
	d := &double{caller: "Bearer a.b-c_d"}
	addr := "--addr=127.0.0.1:" + d.serve(t, presents(serverAuthority.Server("127.0.0.1")))
	ca := "--ca=" + serverAuthority.WriteFile(t.TempDir())
	for content, want := range map[string]int{
		"a.b-c_d": exitOK, "a.b-c_d\n": exitOK, "Bearer a.b-c_d": exitOK, " bearer a.b-c_d\r\n": exitOK, "Bearer   a.b-c_d": exitOK, "another": exitRefused,
	} {
		for _, command := range []string{"get", "watch"} {
			code, stdout, stderr := ask(t, command, "9", addr, ca, "--caller-token-file="+file(t, content))
			if code != want || strings.Contains(stdout+stderr, "CALLER_UNAUTHENTICATED") != (want == exitRefused) || strings.Contains(stderr, content) {
				t.Errorf("%s with %q: exit %d, want %d:\n%s%s", command, content, code, want, stdout, stderr)
			}
		}
	}
	if code, stdout, stderr := ask(t, "get", "9", addr, ca); code != exitRefused {
		t.Errorf("without: exit %d:\n%s%s", code, stdout, stderr)
	}
}

// The file is rewritten during a watch: each stream uses the token that is there when it begins.
func TestCallerTokenIsReread(t *testing.T) {
	token := file(t, "a")
	d := &double{stream: func(n int, s grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
		if n == 2 {
			return nil
		}
		running := &taskv1.Task{TaskId: "9", Status: taskv1.TaskStatus_TASK_STATUS_EXECUTING}
		if err := s.Send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: running}}); err != nil {
			return err
		}
		if err := os.WriteFile(token, []byte{"bc"[n]}, 0o600); err != nil {
			return err
		}
		outcome := []reason.Outcome{reason.WatchLifetimeReached, reason.CallerTokenExpired}[n]
		return (&reason.Error{Outcome: outcome}).Status("of-the-double", "").Err()
	}}
	code, stdout, stderr := ask(t, "watch", "9", "--addr=127.0.0.1:"+d.serve(t, nil), "--caller-token-file="+token)
	if code != exitOK || !strings.Contains(stdout, "interrupted (CALLER_UNAUTHENTICATED: ") {
		t.Errorf("exit %d:\n%s%s", code, stdout, stderr)
	}
	if diff := cmp.Diff([]string{"Bearer a", "Bearer b", "Bearer c"}, d.callers); diff != "" {
		t.Error(diff)
	}
}

// If the file is gone when a stream begins, the watch ends as if the caller were refused.
func TestCallerTokenIsGone(t *testing.T) {
	token := file(t, "a")
	d := &double{stream: func(int, grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
		if err := os.Truncate(token, 0); err != nil {
			return err
		}
		return (&reason.Error{Outcome: reason.WatchLifetimeReached}).Status("of-the-double", "").Err()
	}}
	code, stdout, stderr := ask(t, "watch", "9", "--addr=127.0.0.1:"+d.serve(t, nil), "--caller-token-file="+token)
	if code != exitRefused || !strings.Contains(stdout, token+" is empty") || len(d.callers) != 1 {
		t.Errorf("exit %d after %d streams:\n%s%s", code, len(d.callers), stdout, stderr)
	}
}
