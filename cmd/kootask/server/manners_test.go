package server_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// watchAll watches n tasks that never finish with one credential, until ctx ends.
func (s *system) watchAll(ctx context.Context, t *testing.T, all *sync.WaitGroup, credential, prefix string, n int) {
	t.Helper()
	s.koodrive.AddToken(credential, 0)
	for i := range n {
		id := fmt.Sprint(prefix, i)
		s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: steps(1)})
		all.Go(func() {
			stream, err := s.tasks.WatchTask(as(ctx, credential), &taskv1.WatchTaskRequest{TaskId: id})
			for err == nil {
				_, err = stream.Recv()
			}
		})
	}
}

// busiest returns the number of requests in the busiest second.
func busiest(requests []koodrivetest.Request) (most int) {
	for i, r := range requests {
		n := 0
		for _, later := range requests[i:] {
			if later.Received.Sub(r.Received) < time.Second {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// Of two callers, one watches 1,000 tasks: under a ceiling of 50 requests per second its intervals grow, and the other's
// are as if it were alone.
func TestCallersDoNotSlowEachOther(t *testing.T) {
	t.Parallel()
	intervals := func(t *testing.T, crowd int) (all []time.Duration) {
		t.Helper()
		bubble(t, nil, func(t *testing.T, s *system) {
			ctx, leave := context.WithTimeout(t.Context(), 3*time.Minute)
			defer leave()
			var watches sync.WaitGroup
			s.watchAll(ctx, t, &watches, "crowd", "c", crowd)
			time.Sleep(30 * time.Second)
			s.from(t, "192.0.2.2:1").watchAll(ctx, t, &watches, "alone", "a", 1)
			watches.Wait()
			requests := s.koodrive.Requests()
			var last time.Time
			for _, r := range requests {
				if r.TaskID != "a0" {
					continue
				}
				if !last.IsZero() {
					all = append(all, r.Received.Sub(last))
				}
				last = r.Received
			}
			if n := busiest(requests); n > 56 {
				t.Errorf("%d requests in a second", n)
			}
		})
		return all
	}
	alone, crowded := intervals(t, 0), intervals(t, 1000)
	for i := range min(len(alone), len(crowded)) {
		want := min(time.Duration(float64(time.Second)*[]float64{1, 1.5, 2.25, 3.375, 5.0625, 7.59, 11.39, 15}[min(i, 7)]), 15*time.Second)
		for name, got := range map[string]time.Duration{"alone": alone[i], "crowded": crowded[i]} {
			if got < want*8/10 || got > want*12/10+50*time.Millisecond {
				t.Errorf("%s: interval %d is %v, want %v ± 20 %%", name, i, got, want)
			}
		}
	}
	if len(crowded) < 10 {
		t.Errorf("%d intervals", len(crowded))
	}
}

// A GetTask that is queued for 1 s fails, and costs KooDrive nothing; a watch waits.
func TestGetTaskWithoutAPermit(t *testing.T) {
	bubble(t, func(c *server.Config) { c.Upstream.AtOnce = 1 }, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1, Fault: &koodrivetest.Fault{Latency: 6 * time.Second}}}})
		var busy sync.WaitGroup
		busy.Go(func() {
			if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Millisecond)
		for _, door := range getDoors {
			start := time.Now()
			v := s.fail(t.Context(), t, door, call{id: exampleID, header: bearer})
			if v.code != codes.Unavailable || v.reason != "SERVER_OVERLOADED" || v.retry == nil || time.Since(start) != ask.Patience {
				t.Errorf("%s: %+v after %v", door, v, time.Since(start))
			}
		}
		start := time.Now()
		if got := names(t, s.watch(t.Context(), t, ndjson, exampleID)); got[len(got)-1] != "end" || time.Since(start) < 2*time.Second {
			t.Errorf("the watch saw %q after %v", got, time.Since(start))
		}
		busy.Wait()
		if n := s.koodrive.Count(); n != 2 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

// A GetTask is tried twice, and a failure that passes stays invisible. All retries share one budget.
func TestRetries(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Fault: koodrivetest.Answer(502, "")}, {Status: 1}}})
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := s.koodrive.Count(); n != 2 {
			t.Errorf("500 calls at once made %d requests", n)
		}
		s.koodrive.SetFault(koodrivetest.Answer(502, ""))
		for range 100 {
			s.fail(t.Context(), t, "grpc get", call{id: taskID, header: bearer})
			time.Sleep(2 * time.Second)
		}
		if n := s.koodrive.Count() - 2; n < 109 || n > 110 { // Of ten, one was used and a tenth earned.
			t.Errorf("100 calls in an outage made %d requests", n)
		}
		s.koodrive.SetFault(nil)
		for range 10 {
			if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID, MaxAge: noAge}); err != nil {
				t.Fatal(err)
			}
		}
		s.koodrive.SetFault(koodrivetest.Answer(502, ""))
		before := s.koodrive.Count()
		for range 5 {
			s.fail(t.Context(), t, "grpc get", call{id: taskID, header: bearer})
			time.Sleep(2 * time.Second)
		}
		if n := s.koodrive.Count() - before; n != 6 {
			t.Errorf("after ten successes five calls made %d requests", n)
		}
	})
}

// A Retry-After holds for all tasks of its caller, and for no other caller.
func TestRateLimitIsTheCallers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.AddToken("other", 0)
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1, Fault: koodrivetest.Throttled("30")}, {Status: 1}}})
		s.fail(t.Context(), t, "rest", call{id: taskID, header: bearer})
		time.Sleep(29 * time.Second)
		for _, door := range doors {
			v := s.fail(t.Context(), t, door, call{id: exampleID, header: bearer})
			if v.reason != "UPSTREAM_RATE_LIMITED" || v.retry.GetRetryDelay().AsDuration() < 20*time.Second || v.metadata["upstreamStatus"] != "429" {
				t.Errorf("%s: %+v", door, v)
			}
		}
		if n := s.koodrive.Count(); n != 1 {
			t.Errorf("KooDrive got %d requests", n)
		}
		if _, err := s.tasks.GetTask(as(t.Context(), "other"), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
			t.Errorf("another caller: %v", err)
		}
		time.Sleep(time.Second)
		if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
			t.Errorf("after the time is over: %v", err)
		}
	})
}

// In app mode a Retry-After holds for the app, whichever user the request was for.
func TestRateLimitIsTheApps(t *testing.T) {
	bubble(t, appMode("s3cr3t"), func(t *testing.T, s *system) {
		s.koodrive.AddApp("app", "s3cr3t")
		s.koodrive.SetFault(koodrivetest.Throttled("30"))
		s.fail(t.Context(), t, "rest", call{id: taskID, header: []string{"x-user-id", "1"}})
		s.koodrive.SetFault(nil)
		if v := s.fail(t.Context(), t, "rest", call{id: exampleID, header: []string{"x-user-id", "2"}}); v.reason != "UPSTREAM_RATE_LIMITED" {
			t.Errorf("for another user: %+v", v)
		}
		if n := s.koodrive.Count(); n != 1 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

// The number of watched tasks is limited; the number of watches of each is not. A watch that ends makes room.
func TestTasksAreLimited(t *testing.T) {
	few := func(c *server.Config) { c.Service.Quota.MaxTasks, c.Service.Quota.MaxTasksPerCredential = 5, 3 }
	bubble(t, few, func(t *testing.T, s *system) {
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var first, others sync.WaitGroup
		firstCtx, firstLeaves := context.WithCancel(ctx)
		s.watchAll(firstCtx, t, &first, token, "a", 3)
		s.watchAll(ctx, t, &others, token, "a", 3) // The same tasks again.
		s.watchAll(ctx, t, &others, "other", "b", 2)
		synctest.Wait()
		asked := s.koodrive.Count()
		for _, door := range []string{"grpc watch", ndjson, sse} {
			v := s.fail(t.Context(), t, door, call{id: exampleID, header: bearer})
			if v.code != codes.ResourceExhausted || v.reason != "CALLER_LIMIT_REACHED" || v.retry == nil ||
				v.metadata["limitName"] != "max-tasks-per-credential" || v.metadata["limitValue"] != "3" {
				t.Errorf("%s: %+v", door, v)
			}
			v = s.fail(t.Context(), t, door, call{id: exampleID, header: []string{"authorization", "Bearer other"}})
			if v.code != codes.Unavailable || v.reason != "SERVER_OVERLOADED" || v.retry == nil {
				t.Errorf("%s: %+v", door, v)
			}
		}
		if n := s.koodrive.Count(); n != asked {
			t.Errorf("KooDrive got %d requests", n-asked)
		}
		firstLeaves() // The tasks are still watched.
		first.Wait()
		synctest.Wait()
		if v := s.fail(t.Context(), t, ndjson, call{id: exampleID, header: bearer}); v.reason != "CALLER_LIMIT_REACHED" {
			t.Errorf("%+v", v)
		}
		leave()
		others.Wait()
		synctest.Wait()
		if got := names(t, s.watch(t.Context(), t, ndjson, exampleID)); got[len(got)-1] != "end" {
			t.Errorf("after all have left: %q", got)
		}
	})
}

// A token counts as one caller, whichever users its calls name.
func TestOneTokenIsOneCaller(t *testing.T) {
	bubble(t, func(c *server.Config) { c.Service.Quota.MaxTasksPerCredential = 3 }, func(t *testing.T, s *system) {
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		s.watchAll(ctx, t, &all, token, "a", 3)
		synctest.Wait()
		for i := range 5 {
			v := s.fail(t.Context(), t, "grpc watch", call{id: exampleID, header: append(slices.Clone(bearer), "x-user-id", fmt.Sprint(i))})
			if v.reason != "CALLER_LIMIT_REACHED" {
				t.Errorf("%+v", v)
			}
		}
		leave()
		all.Wait()
	})
}

// A retry waits in the queue no longer than the first attempt.
func TestRetryWaitsInTheQueue(t *testing.T) {
	bubble(t, func(c *server.Config) { c.Upstream.AtOnce = 1 }, func(t *testing.T, s *system) {
		slow := &koodrivetest.Fault{Latency: 5 * time.Second}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Fault: body(502, "")}, {Status: 1}}})
		s.koodrive.SetTask(koodrivetest.Task{ID: "slow", Steps: []koodrivetest.Step{{Status: 1, Fault: slow}}})
		var busy sync.WaitGroup
		start := time.Now()
		busy.Go(func() {
			if v := s.fail(t.Context(), t, "grpc get", call{id: taskID, header: bearer}); v.reason != "UPSTREAM_UNAVAILABLE" || v.metadata["upstreamStatus"] != "502" {
				t.Errorf("%+v", v)
			}
			if took := time.Since(start); took < ask.Patience || took > 2*ask.Patience {
				t.Errorf("it took %v", took)
			}
		})
		time.Sleep(time.Millisecond)
		if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: "slow"}); err != nil {
			t.Error(err)
		}
		busy.Wait()
		if got := s.scrape(t)[`kootask_limit_reached_total{limit="queue"}`]; got != 1 {
			t.Errorf("%v requests reached the limit of the queue, want 1", got)
		}
	})
}
