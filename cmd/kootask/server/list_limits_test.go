package server_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// Tasks that others watch are free. A new list costs what is new in it.
func TestListIsReplaced(t *testing.T) {
	for _, surface := range surfaces {
		bubble(t, nil, func(t *testing.T, s *system) {
			ids := s.fleet(101)
			old, leaveOld := context.WithCancel(t.Context())
			var all sync.WaitGroup
			all.Go(func() { s.followTasks(old, t, surface, ids[:100], func(event) {}) })
			time.Sleep(time.Minute)
			before := s.koodrive.Requests()
			changed, leave := context.WithCancel(t.Context())
			states := 0
			all.Go(func() {
				s.followTasks(changed, t, surface, ids[1:], func(e event) {
					if e.name == "task" {
						states++
					}
				})
			})
			synctest.Wait()
			if n := s.koodrive.Count() - len(before); n != 1 || states != 100 {
				t.Errorf("%s: the new list cost %d requests, and has %d states", surface, n, states)
			}
			leaveOld()
			time.Sleep(time.Minute)
			last := map[string]time.Time{}
			for _, r := range s.koodrive.Requests() {
				if gap := r.Received.Sub(last[r.Path]); gap < 800*time.Millisecond || r.InFlight > 64 {
					t.Errorf("%s: %s was polled twice within %v", surface, r.Path, gap)
				}
				last[r.Path] = r.Received
			}
			if gone := last["/koodrive/ose/v1/task/"+ids[0]]; time.Since(gone) < time.Minute {
				t.Errorf("%s: the task that is not in the new list was polled %v ago", surface, time.Since(gone))
			}
			leave()
			all.Wait()
			if n := s.koodrive.Count(); func() int { time.Sleep(time.Minute); return s.koodrive.Count() }() != n {
				t.Errorf("%s: requests after the last watcher", surface)
			}
		})
	}
}

// A list is refused as a whole, for its form or a limit, and costs KooDrive nothing.
func TestInvalidLists(t *testing.T) {
	many := func(n int) (ids []string) {
		for i := range n {
			ids = append(ids, fmt.Sprint(i))
		}
		return ids
	}
	bad := append(many(20), "a b", strings.Repeat("9", 65), "LIST", "")
	allBad := slices.Repeat([]string{"a b"}, 30)
	for name, row := range map[string]struct {
		ids  []string
		want []string
	}{
		"none":       {nil, []string{"task_ids MISSING"}},
		"101":        {many(101), []string{"task_ids OUT_OF_RANGE"}},
		"101, twice": {slices.Repeat([]string{"1"}, 101), []string{"task_ids OUT_OF_RANGE"}},
		"bad ones":   {bad, []string{"task_ids[20] MALFORMED", "task_ids[21] TOO_LONG", "task_ids[22] RESERVED", "task_ids[23] MISSING"}},
		"many bad": {allBad, func() (all []string) {
			for i := range 10 {
				all = append(all, fmt.Sprintf("task_ids[%d] MALFORMED", i))
			}
			return all
		}()},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				for _, surface := range surfaces {
					got := s.watchTasks(t.Context(), t, surface, row.ids)
					v := verdictOf(t, got.end)
					want := slices.Clone(row.want)
					for i := range want {
						if surface != "grpc" {
							want[i] = strings.Replace(want[i], "task_ids", "taskIds", 1)
						}
					}
					if v.reason != "REQUEST_INVALID" || !slices.Equal(v.violations, want) || s.koodrive.Count() != 0 {
						t.Errorf("%s: %+v, and %d requests", surface, v, s.koodrive.Count())
					}
				}
				r := request(t.Context(), t, listPath(":ticket", row.ids))
				r.Method = http.MethodPost
				if resp, body := s.get(t, r); resp.StatusCode != http.StatusBadRequest || len(read(t, parseStatus(t, body)).violations) != len(row.want) {
					t.Errorf("a ticket: HTTP %d: %s", resp.StatusCode, body)
				}
			})
		})
	}
	bubble(t, nil, func(t *testing.T, s *system) { // A task that is named twice is watched once.
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
		for _, surface := range surfaces {
			if got := s.watchTasks(t.Context(), t, surface, []string{taskID, taskID}); len(got.of[taskID]) != 1 || got.end.name != "end" {
				t.Errorf("%s: %+v", surface, got)
			}
		}
	})
}

func TestListsAreLimitedAsAWhole(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		ids := s.fleet(1100)
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for n := 0; n < 950; n += 50 {
			all.Go(func() { s.followTasks(ctx, t, "grpc", ids[n:n+50], func(event) {}) })
		}
		time.Sleep(time.Minute)
		watched := s.scrape(t)
		for _, surface := range surfaces {
			got := s.watchTasks(t.Context(), t, surface, ids[950:1050])
			if v := verdictOf(t, got.end); v.reason != "CALLER_LIMIT_REACHED" || v.metadata["limitName"] != "max-tasks-per-credential" || v.retry == nil {
				t.Errorf("%s: %+v", surface, v)
			}
		}
		now := s.scrape(t)
		if watched["kootask_watchers"] != 950 || now["kootask_watchers"] != 950 || now["kootask_watched_tasks"] != 950 || now["kootask_watch_streams"] != 19 {
			t.Errorf("%v watchers, then %v, of %v tasks on %v streams", watched["kootask_watchers"], now["kootask_watchers"], now["kootask_watched_tasks"], now["kootask_watch_streams"])
		}
		// Those that are watched already are free.
		ctx2, leave2 := context.WithTimeout(t.Context(), 10*time.Second)
		defer leave2()
		if got := s.watchTasks(ctx2, t, "grpc", ids[900:1000]); len(got.of) != 100 {
			t.Errorf("%d tasks: %+v", len(got.of), got.end)
		}
		leave()
		all.Wait()
		synctest.Wait()
		if now := s.scrape(t); now["kootask_watchers"] != 0 || now["kootask_watch_streams"] != 0 {
			t.Errorf("%v watchers on %v streams are left", now["kootask_watchers"], now["kootask_watch_streams"])
		}
		// They all have left the quota.
		for n := 0; n < 1000; n += 100 {
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			go s.followTasks(ctx, t, "grpc", ids[n:n+100], func(event) {})
		}
		synctest.Wait()
		if now := s.scrape(t); now["kootask_watchers"] != 1000 {
			t.Errorf("%v tasks are watched again", now["kootask_watchers"])
		}
	})
}

// Each task of a list counts, with its own end.
func TestTasksOfAListAreCounted(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: "1", Steps: steps(2)})
		s.koodrive.SetTask(koodrivetest.Task{ID: "2", Steps: steps(1)})
		s.koodrive.SetTask(koodrivetest.Task{ID: "3", Steps: []koodrivetest.Step{{Fault: code(400, "13000309")}}})
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { s.followTasks(ctx, t, ndjson, []string{"1", "2", "3"}, func(event) {}) })
		time.Sleep(time.Second)
		open := s.scrape(t)
		leave()
		all.Wait()
		synctest.Wait()
		ends := s.scrape(t)
		if open["kootask_watchers"] != 1 || open["kootask_watch_streams"] != 1 || ends[`kootask_watch_ends_total{reason="OK"}`] != 1 ||
			ends[`kootask_watch_ends_total{reason="TASK_NOT_FOUND"}`] != 1 || ends[`kootask_watch_ends_total{reason="CANCELLED"}`] != 1 {
			t.Errorf("open: %v on %v streams", open["kootask_watchers"], open["kootask_watch_streams"])
		}
	})
}
