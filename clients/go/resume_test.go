package kootask_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

func TestWatchResumesAsItIsAskedTo(t *testing.T) {
	s := &scripted{watch: []func(stream) error{
		say(end(codes.Unavailable, "SERVER_DRAINING", 3*time.Second), created),
		say(end(codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", time.Minute), executing),
		say(end(codes.Unavailable, "WATCH_LIFETIME_REACHED", 0), executing),
		say(end(codes.Unavailable, "UPSTREAM_TIMEOUT", 1500*time.Millisecond)),
		say(nil, success),
	}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		got, err := watch(t.Context(), c)
		want := []string{"NEW", "resume after 3s", "EXECUTING", "resume after 1m0s", "resume after 0s", "resume after 1.5s", "SUCCESS"}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("saw %q, %v; want %q", got, err, want)
		}
		attempts := []time.Duration{0, 3 * time.Second, 63 * time.Second, 63 * time.Second, 64500 * time.Millisecond}
		if !slices.Equal(s.attempts, attempts) {
			t.Errorf("attempts at %v, want %v", s.attempts, attempts)
		}
	})
}

// A watch ends with its Client, whatever it waits for.
func TestWatchEndsWithItsClient(t *testing.T) {
	for name, second := range map[string]func(stream) error{
		"during a stream": func(stream stream) error { <-stream.Context().Done(); return stream.Context().Err() },
		"during a wait":   say(end(codes.Unavailable, "SERVER_DRAINING", time.Hour), executing),
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{watch: []func(stream) error{say(end(codes.Unavailable, "SERVER_DRAINING", 0), created), second}}
			bubble(t, s, func(t *testing.T, c *kootask.Client) {
				time.AfterFunc(5*time.Second, func() { _ = c.Close() })
				start := time.Now()
				_, err := watch(t.Context(), c)
				if status.Code(err) != codes.Canceled || time.Since(start) != 5*time.Second {
					t.Errorf("ended after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}

// With any repetitions and gaps of a resumed stream, every state is yielded once and in order.
func TestWatchRepeatsNothing(t *testing.T) {
	again := end(codes.Unavailable, "SERVER_DRAINING", time.Second)
	s := &scripted{watch: []func(stream) error{
		say(again, executing), say(again, executing), say(again, created), say(again, created, executing), say(again), say(again, created, success),
	}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		var got []taskv1.TaskStatus
		for task, err := range c.Watch(t.Context(), "9") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, task.GetStatus())
		}
		if !slices.Equal(got, []taskv1.TaskStatus{executing, success}) {
			t.Errorf("saw %v", got)
		}
	})
}

// The server is killed and comes back five seconds later.
func TestWatchSurvivesABrokenConnection(t *testing.T) {
	s := &scripted{}
	hang := func(stream stream) error {
		if err := say(nil, executing)(stream); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	s.watch = []func(stream) error{hang, say(nil, executing, success)}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		time.AfterFunc(time.Second, s.down)
		time.AfterFunc(6*time.Second, s.up)
		var resumes, tasks int
		for event, err := range c.Events(t.Context(), "9") {
			switch {
			case err != nil:
				t.Fatal(err)
			case event.Resume != nil:
				resumes++
				if event.Resume.Cause.Code != codes.Unavailable || event.Resume.Cause.Reason != "" {
					t.Errorf("resumed because of %v", event.Resume.Cause)
				}
			case event.Task != nil:
				tasks++
			}
		}
		if tasks != 2 || resumes < 2 || len(s.attempts) != 2 || s.attempts[1] > 20*time.Second {
			t.Errorf("%d tasks, %d resumes, attempts at %v", tasks, resumes, s.attempts)
		}
	})
}

// A connection that breaks before the first message counts as broken.
func TestWatchSurvivesABreakBeforeTheFirstMessage(t *testing.T) {
	s := &scripted{}
	s.watch = []func(stream) error{func(stream stream) error {
		go s.down()
		<-stream.Context().Done()
		return stream.Context().Err()
	}, say(nil, success)}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		time.AfterFunc(3*time.Second, s.up)
		if got, err := watch(t.Context(), c); err != nil || got[len(got)-1] != "SUCCESS" || len(s.attempts) != 2 {
			t.Errorf("saw %q, %v", got, err)
		}
	})
}

func TestWatchTakesSilenceForABreak(t *testing.T) {
	s := &scripted{}
	silent := func(stream stream) error {
		if err := say(nil, executing)(stream); err != nil {
			return err
		}
		time.AfterFunc(15*time.Second, func() {
			_ = stream.Send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Heartbeat{Heartbeat: &taskv1.Heartbeat{}}})
		})
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	s.watch = []func(stream) error{silent, say(nil, success)}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		got, err := watch(t.Context(), c)
		if err != nil || len(got) != 4 || got[0] != "EXECUTING" || got[1] != "heartbeat" || got[3] != "SUCCESS" {
			t.Errorf("saw %q, %v", got, err)
		}
		if at := s.attempts[1]; at < 35*time.Second+800*time.Millisecond || at > 35*time.Second+1200*time.Millisecond {
			t.Errorf("resumed at %v", at)
		}
	})
}

// Streams that break at once are retried at growing intervals, and no longer than the context lasts.
func TestWatchBacksOffUntilTheContextEnds(t *testing.T) {
	s := &scripted{watch: []func(stream) error{say(nil, executing), say(status.Error(codes.Unavailable, "proxy"))}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		_, err := watch(ctx, c)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(s.start) != 2*time.Minute {
			t.Errorf("ended with %v after %v", err, time.Since(s.start))
		}
		n := len(s.attempts)
		for i, d := range []float64{1, 1.6, 2.56, 4.096, 6.5536, 10.48576, 15, 15} {
			gap := (s.attempts[i+1] - s.attempts[i]).Seconds()
			if gap < d*0.8-0.001 || gap > d*1.2+0.001 {
				t.Errorf("gap %d is %v s, want %v", i, gap, d)
			}
		}
		time.Sleep(time.Hour)
		if len(s.attempts) != n {
			t.Error("it was tried again after the context had ended")
		}
	})
}

// Whatever a proxy or a broken connection reports, a watch that has begun resumes.
func TestWatchResumesAfterOthersErrors(t *testing.T) {
	s := &scripted{watch: []func(stream) error{
		say(status.Error(codes.Internal, "RST_STREAM"), created), say(status.Error(codes.Unknown, "proxy")), say(status.Error(codes.Canceled, "proxy")),
		say(nil, executing), say(nil, success), // The fourth ends without an end.
	}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		got, err := watch(t.Context(), c)
		got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "resume") })
		if err != nil || !slices.Equal(got, []string{"NEW", "EXECUTING", "SUCCESS"}) || len(s.attempts) != 5 {
			t.Errorf("saw %q, %v in %d attempts", got, err, len(s.attempts))
		}
	})
}

// A delay of zero is obeyed once, and not in a loop.
func TestWatchDoesNotRunHot(t *testing.T) {
	s := &scripted{watch: []func(stream) error{say(end(codes.Unavailable, "SERVER_DRAINING", 0))}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _ = watch(ctx, c)
		if n := len(s.attempts); n < 5 || n > 12 || s.attempts[1] != 0 {
			t.Errorf("attempts at %v", s.attempts)
		}
	})
}

// A client that has reached kootask once takes a refused connection for a redeploy.
func TestNewWatchDuringARedeploy(t *testing.T) {
	s := &scripted{watch: []func(stream) error{say(nil, success)}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		if _, err := watch(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		s.down()
		time.AfterFunc(3*time.Second, s.up)
		if got, err := watch(t.Context(), c); err != nil || got[len(got)-1] != "SUCCESS" {
			t.Errorf("saw %q, %v", got, err)
		}
	})
}
