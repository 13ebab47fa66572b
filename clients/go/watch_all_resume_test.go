package kootask_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// A stream that ends in the middle is followed by one of the tasks that have not ended. Whatever the new server knows, each
// task is handed out once and none goes back.
func TestListResumes(t *testing.T) {
	drain := end(codes.Unavailable, "SERVER_DRAINING", 3*time.Second)
	s := &scripted{list: []listStep{
		tell(drain, task("a", created), task("b", executing), task("c", success), drop("d", -1)),
		tell(nil, task("b", created), task("a", created), task("c", executing), drop("d", -1)), // It ends without an end.
		tell(drain, task("b", executing), task("a", executing), task("a", success)),
		tell(nil, task("b", executing), task("b", success)),
	}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		got, err := watchAll(t.Context(), c, []string{"a", "b", "c", "d"})
		want := []string{
			"a NEW", "b EXECUTING", "c SUCCESS", "d dropped, retry false", "resume of [a b]", "resume of [a b]",
			"a EXECUTING", "a SUCCESS", "resume of [b]", "b SUCCESS",
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if diff := cmp.Diff([][]string{{"a", "b", "c", "d"}, {"a", "b"}, {"a", "b"}, {"b"}}, s.lists); diff != "" {
			t.Error(diff)
		}
		if s.attempts[1] != 3*time.Second {
			t.Errorf("attempts at %v", s.attempts)
		}
	})
}

// The connection breaks when half of the tasks have finished, and comes back five seconds later.
func TestListSurvivesABrokenConnection(t *testing.T) {
	ids := numbered(150)
	half := func(ids []string, stream listStream) error {
		for i, id := range ids {
			status := success
			if i%2 == 1 {
				status = executing
			}
			if err := stream.Send(task(id, status)); err != nil {
				return err
			}
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	rest := each(func(id string) *taskv1.WatchTasksResponse { return task(id, success) })
	s := &scripted{list: []listStep{half, half, rest}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		time.AfterFunc(time.Second, s.down)
		time.AfterFunc(6*time.Second, s.up)
		got, err := watchAll(t.Context(), c, ids)
		got = slices.DeleteFunc(got, func(s string) bool { return strings.HasPrefix(s, "resume") })
		var want, others []string
		for i, id := range ids {
			want = append(want, id+" SUCCESS")
			if i%2 == 1 {
				want = append(want, id+" EXECUTING")
				others = append(others, id)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if len(s.lists) != 4 {
			t.Fatalf("%d streams", len(s.lists))
		}
		again := slices.Sorted(slices.Values(slices.Concat(s.lists[2], s.lists[3])))
		if diff := cmp.Diff(others, again); diff != "" {
			t.Error(diff)
		}
	})
}

// A task that is dropped with a delay gets a stream of its own after the delay. The others keep theirs.
func TestDroppedTaskIsWatchedAgain(t *testing.T) {
	s := &scripted{}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		slow := func(_ []string, stream listStream) error {
			for _, e := range []*taskv1.WatchTasksResponse{task("a", created), task("b", executing), drop("b", 5*time.Second)} {
				if err := stream.Send(e); err != nil {
					return err
				}
			}
			for range 4 {
				time.Sleep(15 * time.Second)
				if err := stream.Send(beat()); err != nil {
					return err
				}
			}
			return stream.Send(task("a", success))
		}
		s.list = []listStep{slow, tell(nil, task("b", created), task("b", executing), task("b", success))}
		got, err := watchAll(t.Context(), c, []string{"a", "b"})
		want := []string{
			"a NEW", "b EXECUTING", "b dropped, retry true", "b SUCCESS",
			"heartbeat of [a], failing []", "heartbeat of [a], failing []", "heartbeat of [a], failing []", "heartbeat of [a], failing []",
			"a SUCCESS",
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if diff := cmp.Diff([][]string{{"a", "b"}, {"b"}}, s.lists); diff != "" || s.attempts[1] != 5*time.Second {
			t.Errorf("%s, at %v", diff, s.attempts)
		}
	})
}

// The last task is dropped with a delay: the list is not over.
func TestLastTaskIsWatchedAgain(t *testing.T) {
	stale := end(codes.Unavailable, "UPSTREAM_STALE", 9*time.Second)
	s := &scripted{list: []listStep{tell(stale, task("a", success), drop("b", 9*time.Second)), tell(nil, drop("b", -1))}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		got, err := watchAll(t.Context(), c, []string{"a", "b"})
		want := []string{"a SUCCESS", "b dropped, retry true", "b dropped, retry false"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}
		if !slices.Equal(s.attempts, []time.Duration{0, 9 * time.Second}) {
			t.Errorf("attempts at %v", s.attempts)
		}
	})
}

// After an outage of KooDrive, the tasks share as few streams as before: those with short delays wait for the others.
func TestDroppedTasksShareStreams(t *testing.T) {
	delays := map[string]time.Duration{}
	for i, id := range numbered(250) {
		delays[id] = time.Duration(5+i%30) * time.Second
	}
	outage := each(func(id string) *taskv1.WatchTasksResponse { return drop(id, delays[id]) })
	s := &scripted{list: []listStep{outage, outage, outage, each(func(id string) *taskv1.WatchTasksResponse { return task(id, success) })}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		if got, err := watchAll(t.Context(), c, numbered(250)); err != nil || len(got) != 500 {
			t.Errorf("%d events, %v", len(got), err)
		}
		if diff := cmp.Diff([]int{100, 100, 100, 100, 50, 50}, s.sizes()); diff != "" || slices.Max(s.attempts) != 34*time.Second {
			t.Errorf("%s, at %v", diff, s.attempts)
		}
	})
	// A task waits for no more than 30 s: the third one comes later.
	delays = map[string]time.Duration{"a": 5 * time.Second, "b": 20 * time.Second, "c": 36 * time.Second}
	s = &scripted{list: []listStep{outage, each(func(id string) *taskv1.WatchTasksResponse { return task(id, success) })}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		if _, err := watchAll(t.Context(), c, []string{"a", "b", "c"}); err != nil {
			t.Error(err)
		}
		want := "[[a b c] [a b] [c]] [0s 35s 36s]"
		if got := fmt.Sprint(s.lists, s.attempts); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// A delay of zero is obeyed once, and not in a loop, unless the task was seen in between.
func TestDroppedTaskDoesNotRunHot(t *testing.T) {
	s := &scripted{list: []listStep{tell(nil, drop("a", 0))}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _ = watchAll(ctx, c, []string{"a"})
		if n := len(s.attempts); n < 5 || n > 12 || s.attempts[1] != 0 {
			t.Errorf("attempts at %v", s.attempts)
		}
	})
	seen := tell(nil, task("a", executing), drop("a", 0))
	s = &scripted{list: []listStep{seen, seen, seen, tell(nil, task("a", success))}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		got, err := watchAll(t.Context(), c, []string{"a"})
		want := []string{"a EXECUTING", "a dropped, retry true", "a dropped, retry true", "a dropped, retry true", "a SUCCESS"}
		if diff := cmp.Diff(want, got); err != nil || diff != "" || time.Since(s.start) != 0 {
			t.Error(err, diff, time.Since(s.start))
		}
	})
}

// A caller that takes longer for an event than the limit of silence does not break the streams.
func TestSlowCallerBreaksNoList(t *testing.T) {
	s := &scripted{list: []listStep{each(func(id string) *taskv1.WatchTasksResponse { return task(id, success) })}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		n := 0
		for event, err := range c.WatchAll(t.Context(), numbered(150)) {
			if err != nil || event.Task == nil {
				t.Fatal(event, err)
			}
			n++
			time.Sleep(70 * time.Second)
		}
		if n != 150 || len(s.attempts) != 2 {
			t.Errorf("%d tasks in %d streams", n, len(s.attempts))
		}
	})
}
