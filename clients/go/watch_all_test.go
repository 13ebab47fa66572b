package kootask_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// What one stream sends, and what the caller sees of it.
func TestList(t *testing.T) {
	newer := &taskv1.WatchTasksResponse{}
	for name, row := range map[string]struct {
		sent []*taskv1.WatchTasksResponse
		want []string
	}{
		"to its end": {
			[]*taskv1.WatchTasksResponse{task("a", created), task("b", executing), task("a", success), task("b", failed)},
			[]string{"a NEW", "b EXECUTING", "a SUCCESS", "b FAILED"},
		},
		"repeated and back": {
			[]*taskv1.WatchTasksResponse{task("a", executing), task("a", executing), task("b", created), task("a", created), task("a", success),
				task("a", success), task("a", failed), task("a", executing), drop("a", -1), task("b", success)},
			[]string{"a EXECUTING", "b NEW", "a SUCCESS", "b SUCCESS"},
		},
		"dropped, and the other": {
			[]*taskv1.WatchTasksResponse{drop("a", -1), drop("a", -1), task("a", executing), task("b", executing), task("b", success)},
			[]string{"a dropped, retry false", "b EXECUTING", "b SUCCESS"},
		},
		"all dropped": {
			[]*taskv1.WatchTasksResponse{task("b", executing), drop("b", -1), drop("a", -1)},
			[]string{"b EXECUTING", "b dropped, retry false", "a dropped, retry false"},
		},
		"heartbeats": {
			[]*taskv1.WatchTasksResponse{beat(), task("a", success), beat("b"), task("b", success)},
			[]string{"heartbeat of [a b], failing []", "a SUCCESS", "heartbeat of [b], failing [b]", "b SUCCESS"},
		},
		"newer events": {
			[]*taskv1.WatchTasksResponse{newer, task("a", success), newer, task("b", success)},
			[]string{"a SUCCESS", "b SUCCESS"},
		},
		"a task that was not asked for": {
			[]*taskv1.WatchTasksResponse{task("c", success), drop("d", 0), task("a", success), task("b", success)},
			[]string{"a SUCCESS", "b SUCCESS"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{list: []listStep{hang(row.sent...)}} // Only the client knows that it is over.
			bubble(t, s, func(t *testing.T, c *kootask.Client) {
				got, err := watchAll(t.Context(), c, []string{"a", "b", "a"}, kootask.FailedTaskAsError())
				if diff := cmp.Diff(row.want, got); err != nil || diff != "" {
					t.Error(err, diff)
				}
				if diff := cmp.Diff([][]string{{"a", "b"}}, s.lists); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

func TestListOfManyTasksHasManyStreams(t *testing.T) {
	ids := numbered(250)
	s := &scripted{list: []listStep{each(func(id string) *taskv1.WatchTasksResponse { return task(id, success) })}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		seen := map[string]int{}
		for event, err := range c.WatchAll(t.Context(), append(ids, ids...)) {
			if err != nil {
				t.Fatal(err)
			}
			seen[event.Task.GetTaskId()]++
		}
		if diff := cmp.Diff([]int{100, 100, 50}, s.sizes()); diff != "" {
			t.Error(diff)
		}
		if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, ids) || slices.Max(slices.Collect(maps.Values(seen))) != 1 {
			t.Errorf("saw %v", seen)
		}
	})
}

func TestDroppedTask(t *testing.T) {
	s := &scripted{list: []listStep{tell(nil, drop("a", -1)), tell(nil, drop("a", 7*time.Second)), tell(nil, task("a", success))}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		var got []*kootask.Error
		for range 2 {
			for event, err := range c.WatchAll(t.Context(), []string{"a"}) {
				if err != nil {
					t.Fatal(err)
				}
				if event.Dropped != nil {
					got = append(got, event.Dropped)
				}
			}
		}
		if len(got) != 2 {
			t.Fatalf("%d tasks were dropped", len(got))
		}
		e := got[0]
		if e.TaskID != "a" || !e.Has(taskv1.ErrorReason_TASK_NOT_FOUND) || e.Code != codes.NotFound || status.Code(e) != codes.NotFound || e.Retry ||
			e.RequestID != "mine" || e.Metadata["upstreamCode"] != "13000309" || e.LocalizedMessage != "不行" {
			t.Errorf("%+v", e)
		}
		if e.Error() != "task a: No such task. (TASK_NOT_FOUND)" {
			t.Error(e)
		}
		if e := got[1]; !e.Has(taskv1.ErrorReason_UPSTREAM_STALE) || !e.Retry || e.RetryAfter != 7*time.Second {
			t.Errorf("%+v", e)
		}
	})
}

// An error that concerns all tasks ends all streams, in whichever of them it comes.
func TestListEndsOnLastingErrors(t *testing.T) {
	for name, lasting := range map[string]error{
		"invalid":             end(codes.InvalidArgument, "REQUEST_INVALID", -1),
		"credential rejected": end(codes.Unauthenticated, "CREDENTIAL_REJECTED", -1),
		"user not allowed":    end(codes.PermissionDenied, "USER_NOT_ALLOWED", -1),
		"an older kootask":    status.Error(codes.Unimplemented, "unknown method WatchTasks"),
	} {
		for when, row := range map[string]struct {
			ids  []string
			list []listStep
			want int
		}{
			"of no ids":          {nil, []listStep{tell(lasting)}, 0},
			"in the middle":      {[]string{"1000"}, []listStep{tell(lasting, task("1000", executing))}, 1},
			"in the last stream": {numbered(250), []listStep{hang(), hang(), tell(lasting)}, 0},
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				s := &scripted{list: row.list}
				bubble(t, s, func(t *testing.T, c *kootask.Client) {
					got, err := watchAll(t.Context(), c, row.ids)
					var failure *kootask.Error
					if !errors.As(err, &failure) || failure.Code != status.Code(lasting) || failure.TaskID != "" || len(got) != row.want {
						t.Errorf("saw %q, %v", got, err)
					}
					if synctest.Wait(); s.streams != 0 || len(s.attempts) != len(row.list) {
						t.Errorf("%d of %d streams are left", s.streams, len(s.attempts))
					}
				})
			})
		}
	}
}

// Leaving the loop ends all streams and waits, at whichever event.
func TestLeavingTheLoopEndsTheList(t *testing.T) {
	drain := end(codes.Unavailable, "SERVER_DRAINING", time.Minute)
	first := func(ids []string, stream listStream) error { return hang(task(ids[0], executing))(ids, stream) }
	third := func(ids []string, stream listStream) error {
		return tell(drain, drop(ids[0], time.Minute))(ids, stream)
	}
	for name, leaves := range map[string]func(kootask.Event) bool{
		"task":    func(e kootask.Event) bool { return e.Task != nil },
		"resume":  func(e kootask.Event) bool { return e.Resume != nil },
		"dropped": func(e kootask.Event) bool { return e.Dropped != nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{list: []listStep{first, hang(), third}}
			bubble(t, s, func(t *testing.T, c *kootask.Client) {
				left := false
				for event := range c.WatchAll(t.Context(), numbered(250)) {
					if left = leaves(event); left {
						break
					}
				}
				stacks := make([]byte, 1<<20)
				if stacks = stacks[:runtime.Stack(stacks, true)]; bytes.Contains(stacks, []byte("(*watcher).run")) {
					t.Error("a goroutine is left")
				}
				synctest.Wait()
				n := len(s.attempts)
				if !left || s.streams != 0 {
					t.Errorf("left: %t, with %d streams", left, s.streams)
				}
				if time.Sleep(time.Hour); len(s.attempts) != n {
					t.Errorf("%d attempts, and %d later", n, len(s.attempts))
				}
			})
		})
	}
}

// A list ends with its context or its Client, whatever it waits for.
func TestListEndsWithItsContext(t *testing.T) {
	for name, list := range map[string][]listStep{
		"during streams":      {hang(task("1000", executing))},
		"during a resumption": {tell(end(codes.Unavailable, "SERVER_DRAINING", time.Hour))},
		"after drops":         {each(func(id string) *taskv1.WatchTasksResponse { return drop(id, time.Hour) })},
	} {
		t.Run("deadline "+name, func(t *testing.T) {
			s := &scripted{list: list}
			bubble(t, s, func(t *testing.T, c *kootask.Client) {
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err := watchAll(ctx, c, numbered(150))
				if !errors.Is(err, context.DeadlineExceeded) || status.Code(err) != codes.DeadlineExceeded || time.Since(s.start) != 5*time.Second {
					t.Errorf("ended after %v: %v", time.Since(s.start), err)
				}
			})
		})
		t.Run("Client "+name, func(t *testing.T) {
			s := &scripted{list: list}
			bubble(t, s, func(t *testing.T, c *kootask.Client) {
				time.AfterFunc(5*time.Second, func() { _ = c.Close() })
				if _, err := watchAll(t.Context(), c, numbered(150)); status.Code(err) != codes.Canceled || time.Since(s.start) != 5*time.Second {
					t.Errorf("ended after %v: %v", time.Since(s.start), err)
				}
			})
		})
	}
}

func TestUnreachableServerEndsTheList(t *testing.T) {
	s := &scripted{}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		s.down()
		got, err := watchAll(t.Context(), c, numbered(250))
		if status.Code(err) != codes.Unavailable || got != nil || strings.Contains(err.Error(), "task ") {
			t.Errorf("saw %q, %v", got, err)
		}
	})
}
