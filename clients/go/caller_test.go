package kootask_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// expired is how kootask ends a watch whose caller's token has expired.
var expired = end(codes.Unauthenticated, "CALLER_UNAUTHENTICATED", -1)

// inTurn returns one token after the other, and then the last one for ever.
func inTurn(tokens ...string) func() (string, error) {
	n := 0
	return func() (string, error) {
		n++
		return tokens[min(n, len(tokens))-1], nil
	}
}

// A watch asks for the token for each stream, and once more when it has expired.
func TestWatchResumesWithARenewedToken(t *testing.T) {
	drain := end(codes.Unavailable, "SERVER_DRAINING", 3*time.Second)
	s := &scripted{
		token: inTurn("a", "b", "c", "c", "d"),
		watch: []func(stream) error{say(drain, created), say(expired, created), say(expired, executing), say(nil, success)},
	}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		var got []string
		for event, err := range c.Events(t.Context(), "9") {
			switch {
			case err != nil:
				t.Fatal(err)
			case event.Task != nil:
				got = append(got, event.Task.GetStatus().String())
			case event.Resume != nil:
				got = append(got, event.Resume.Cause.Reason)
			}
		}
		want := []string{
			"TASK_STATUS_NEW", "SERVER_DRAINING", "CALLER_UNAUTHENTICATED", "TASK_STATUS_EXECUTING", "CALLER_UNAUTHENTICATED",
			"TASK_STATUS_SUCCESS",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"[Bearer a]", "[Bearer b]", "[Bearer c]", "[Bearer d]"}, s.callers); diff != "" {
			t.Error(diff)
		}
	})
}

func TestWatchEndsWithTheToken(t *testing.T) {
	n := 0
	fresh := func() (string, error) { n++; return fmt.Sprint(n), nil }
	gone := func() (string, error) {
		if n++; n > 1 {
			return "", errors.New("gone")
		}
		return "a", nil
	}
	for name, row := range map[string]struct {
		token    func() (string, error)
		watch    []func(stream) error
		attempts int
	}{
		"no provider":                 {nil, []func(stream) error{say(expired, executing)}, 1},
		"it is the same":              {inTurn("a"), []func(stream) error{say(expired, executing)}, 1},
		"it is gone":                  {gone, []func(stream) error{say(expired, executing)}, 1},
		"the first one is rejected":   {fresh, []func(stream) error{say(expired)}, 1},
		"the next one is rejected":    {fresh, []func(stream) error{say(expired, executing), say(expired)}, 2},
		"the user is not allowed":     {fresh, []func(stream) error{say(end(codes.PermissionDenied, "USER_NOT_ALLOWED", -1), executing)}, 1},
		"KooDrive refuses its token":  {fresh, []func(stream) error{say(end(codes.Unauthenticated, "CREDENTIAL_REJECTED", -1), executing)}, 1},
		"something else does not say": {fresh, []func(stream) error{say(status.Error(codes.Unauthenticated, "proxy"), executing)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			n = 0
			s := &scripted{token: row.token, watch: row.watch}
			bubble(t, s, func(t *testing.T, c *kootask.Client) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_, err := watch(ctx, c)
				var failure *kootask.Error
				if !errors.As(err, &failure) || status.Code(err) == codes.OK || strings.Contains(failure.Message, "gone") || len(s.attempts) != row.attempts {
					t.Errorf("%v in %d attempts", err, len(s.attempts))
				}
			})
		})
	}
}

// A token that is always new and always expired is not tried in a loop.
func TestRenewedTokensDoNotRunHot(t *testing.T) {
	n := 0
	s := &scripted{
		token: func() (string, error) { n++; return fmt.Sprint(n), nil },
		watch: slices.Repeat([]func(stream) error{say(expired, executing)}, 100),
	}
	s.watch = append(s.watch, say(end(codes.Internal, "SERVER_ERROR", -1)))
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := watch(ctx, c); !errors.Is(err, context.DeadlineExceeded) || len(s.attempts) < 50 || len(s.attempts) > 76 {
			t.Errorf("%v after %d attempts", err, len(s.attempts))
		}
	})
}

func TestCallerToken(t *testing.T) {
	for name, row := range map[string]struct {
		token func() (string, error)
		want  string
	}{
		"none": {nil, "[]"}, "empty": {inTurn(""), "[]"}, "one": {inTurn("a.b-c_d"), "[Bearer a.b-c_d]"}, "renewed": {inTurn("a", "b"), "[Bearer b]"},
	} {
		s := &scripted{token: row.token, get: func(context.Context, *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
			return &taskv1.GetTaskResponse{}, nil
		}}
		bubble(t, s, func(t *testing.T, c *kootask.Client) {
			for range 2 {
				if _, err := c.Get(t.Context(), "9"); err != nil {
					t.Fatal(err)
				}
			}
			if got := fmt.Sprint(s.metadata["x-kootask-authorization"], s.metadata["authorization"]); got != row.want+" [geheim]" {
				t.Errorf("%s: metadata %s", name, got)
			}
		})
	}
}

// An error of CallerToken is the error of the call, which is not made.
func TestNoCallerToken(t *testing.T) {
	failure := errors.New("the file is gone")
	for _, token := range []func() (string, error){
		func() (string, error) { return "geheimer", failure },
		inTurn("geheimer\n"), inTurn("Bearer geheimer"), inTurn("geheimer\u00a0"),
	} {
		s := &scripted{token: token, watch: []func(stream) error{say(nil, success)}}
		bubble(t, s, func(t *testing.T, c *kootask.Client) {
			_, getErr := c.Get(t.Context(), "9")
			_, watchErr := watch(t.Context(), c)
			for _, err := range []error{getErr, watchErr} {
				var got *kootask.Error
				if !errors.As(err, &got) || got.Code != codes.Unauthenticated || status.Code(err) != got.Code || got.Reason != "" || got.Retry {
					t.Errorf("%+v", got)
				}
				if !strings.Contains(err.Error(), "the caller's token") || strings.Contains(err.Error(), "geheimer") {
					t.Error(err)
				}
				if _, own := token(); own != nil && !errors.Is(err, failure) {
					t.Errorf("%v does not wrap %v", err, failure)
				}
			}
			if len(s.attempts) != 0 || s.metadata != nil {
				t.Errorf("%d attempts, metadata %v", len(s.attempts), s.metadata)
			}
		})
	}
}
