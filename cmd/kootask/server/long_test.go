package server_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// faults is a script: a task that is executing, then one answer per fault (nil: a valid one), and then SUCCESS.
func faults(all ...*koodrivetest.Fault) []koodrivetest.Step {
	steps := []koodrivetest.Step{{Status: koodrivetest.StatusExecuting}}
	for _, f := range all {
		steps = append(steps, koodrivetest.Step{Status: koodrivetest.StatusExecuting, Fault: f})
	}
	return append(steps, koodrivetest.Step{Status: koodrivetest.StatusSuccess})
}

func repeat(n int, f *koodrivetest.Fault) []*koodrivetest.Fault {
	return slices.Repeat([]*koodrivetest.Fault{f}, n)
}

// The number of consecutive failures of a kind that a watch survives, and the error with which it ends otherwise, are the same on
// every surface.
func TestWatchSurvivesFailures(t *testing.T) {
	refused, denied, gone := code(401, "1"), code(403, "1"), code(400, "13000309")
	broken, odd := body(502, ""), answer(id)
	for name, row := range map[string]struct {
		steps  []koodrivetest.Step
		reason string // Empty: it continues until SUCCESS.
	}{
		"one 401":                     {faults(refused), ""},
		"two 401":                     {faults(refused, refused), "CREDENTIAL_REJECTED"},
		"401, well, 401":              {faults(refused, nil, refused), ""},
		"401, unavailable, 401":       {faults(refused, broken, refused), "CREDENTIAL_REJECTED"},
		"one 403":                     {faults(denied), ""},
		"two 403":                     {faults(denied, denied), "UPSTREAM_PERMISSION_DENIED"},
		"401, 403":                    {faults(refused, denied), ""},
		"not found twice":             {faults(gone, gone), ""},
		"not found three times":       {faults(gone, gone, gone), "TASK_NOT_FOUND"},
		"not found, well, not found":  {faults(gone, gone, nil, gone, gone), ""},
		"contradictory twice":         {faults(odd, odd), ""},
		"contradictory three times":   {faults(odd, odd, odd), "UPSTREAM_CONTRACT_VIOLATION"},
		"another code three times":    {faults(repeat(3, code(400, "13000301"))...), "UPSTREAM_BUSINESS_ERROR"},
		"a redirect three times":      {faults(repeat(3, body(302, ""))...), "UPSTREAM_CONTRACT_VIOLATION"},
		"a route lost three times":    {faults(repeat(3, body(404, ""))...), "SERVER_MISCONFIGURED"},
		"a bad parameter":             {faults(code(400, "13000102")), "REQUEST_INVALID"},
		"unavailable five times":      {faults(repeat(5, broken)...), ""},
		"not JSON five times":         {faults(repeat(5, body(200, "x"))...), ""},
		"resets five times":           {faults(repeat(5, &koodrivetest.Fault{Reset: true})...), ""},
		"unavailable for ten minutes": {faults(repeat(100, broken)...), "UPSTREAM_STALE"},
		"hanging for ten minutes":     {faults(repeat(100, &koodrivetest.Fault{Hang: true})...), "UPSTREAM_STALE"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: row.steps})
				everySurface(t, func(surface string) {
					events := s.watch(t.Context(), t, surface, taskID)
					got := slices.DeleteFunc(names(t, events), func(n string) bool { return n == "heartbeat" })
					want := forSurface(surface, "EXECUTING", "SUCCESS", "end")
					if row.reason != "" {
						want = []string{"EXECUTING", "failure"}
					}
					if !slices.Equal(got, want) {
						t.Fatalf("%s saw %q, want %q", surface, got, want)
					}
					if row.reason != "" {
						if v := verdictOf(t, events[len(events)-1]); v.reason != row.reason {
							t.Errorf("%s ended with %s, want %s", surface, v.reason, row.reason)
						}
					}
				})
			})
		})
	}
}

func TestStaleWatchReportsTheLastFailure(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: faults(repeat(100, apig(502, "APIGW.0201"))...)})
		events := s.watch(t.Context(), t, "grpc", taskID)
		last := events[len(events)-1]
		v := verdictOf(t, last)
		if v.code != codes.Unavailable || v.retry == nil || v.metadata["upstreamStatus"] != "502" || v.metadata["upstreamCode"] != "APIGW.0201" ||
			last.at < service.DefaultStaleAfter || last.at > service.DefaultStaleAfter+time.Second {
			t.Errorf("%+v after %v", v, last.at)
		}
		if delay := v.retry.GetRetryDelay().AsDuration(); delay < 5*time.Second || delay > 30*time.Second {
			t.Errorf("come back after %v", delay)
		}
	})
}

// From the first rejection on, new watchers are not shown the earlier state.
func TestDoubtIsNotShared(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: faults(code(401, "1"))})
		var first sync.WaitGroup
		first.Go(func() { s.watch(t.Context(), t, "grpc", taskID) })
		time.Sleep(1500 * time.Millisecond) // After the rejection, before its confirmation.
		everySurface(t, func(surface string) {
			events := slices.DeleteFunc(s.watch(t.Context(), t, surface, taskID), func(e event) bool { return e.name == "heartbeat" })
			if events[0].name != "task" || events[0].at == 0 || events[0].status(t) != "TASK_STATUS_SUCCESS" {
				t.Errorf("%s: first came %+v", surface, events[0])
			}
		})
		first.Wait()
	})
}

// A task that has disappeared gets the same error as one that never existed; the log distinguishes them.
func TestTaskThatDisappears(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: faults(repeat(3, code(400, "13000309"))...)})
		s.watch(t.Context(), t, "grpc", taskID)
		s.watch(t.Context(), t, "grpc", "unknown")
		if log := s.calls(); strings.Count(log, `"outcome":"TASK_DISAPPEARED"`) != 1 || strings.Count(log, `"outcome":"TASK_NOT_FOUND"`) != 1 {
			t.Error(log)
		}
	})
}

// Watches that began together do not end together.
func TestLifetime(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		var mu sync.Mutex
		var ends []time.Duration
		var all sync.WaitGroup
		for i := range 60 {
			all.Go(func() {
				events := s.watch(t.Context(), t, surfaces[i%3], taskID)
				last := events[len(events)-1]
				if v := verdictOf(t, last); v.reason != "WATCH_LIFETIME_REACHED" || v.retry == nil {
					t.Errorf("%+v", v)
				}
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, last.at)
			})
		}
		all.Wait()
		if low, high := slices.Min(ends), slices.Max(ends); low < 24*time.Minute || high > 36*time.Minute || high-low < 6*time.Minute {
			t.Errorf("they end after %v to %v", low, high)
		}
	})
}

// A gRPC client that does not read is disconnected 30 s after its window is full, although the send is stuck.
func TestSilentGRPCReaderIsLetGo(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		long := strings.Repeat("x", 8<<10)
		var script []koodrivetest.Step
		for i := range 100 {
			script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, long)})
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: script})
		silent := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10)))
		stream, err := silent.WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: taskID})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := strings.Count(s.log.String(), `"outcome":"WATCHER_TOO_SLOW"`); n != 1 {
			t.Errorf("%d watches were disconnected:\n%s", n, s.log)
		}
		asked := s.koodrive.Count()
		if time.Sleep(time.Minute); s.koodrive.Count() != asked {
			t.Error("KooDrive is still polled")
		}
		for err == nil {
			_, err = stream.Recv()
		}
		if v := read(t, status.Convert(err)); v.code != codes.ResourceExhausted || v.reason != "WATCHER_TOO_SLOW" || v.retry == nil {
			t.Errorf("in the end the client reads %v", err)
		}
	})
}

// A client that reads late gets the newest state, not all of them, and the final state before the end.
func TestLateReaderGetsTheLastState(t *testing.T) {
	short := func(c *server.Config) { c.Service.WatchLifetime = 24 * time.Second }
	bubble(t, short, func(t *testing.T, s *system) {
		long := strings.Repeat("x", 8<<10)
		var script []koodrivetest.Step
		for i := range 20 {
			script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, long)})
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: append(script, koodrivetest.Step{Status: 2})})
		late := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10)))
		stream, err := late.WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: taskID})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Second) // All 20 changes come within 25 s, and the watch ends within 29 s.
		s.stop()                     // The task is finished: neither changes anything.
		var last *taskv1.Task
		messages := 0
		for {
			m, err := stream.Recv()
			if err != nil {
				if status.Code(err) != codes.Unknown || err.Error() != "EOF" {
					t.Errorf("it ended with %v", err)
				}
				break
			}
			last = m.GetTask()
			messages++
		}
		if last.GetStatus() != taskv1.TaskStatus_TASK_STATUS_SUCCESS || messages >= 21 {
			t.Errorf("the last of %d messages was %v", messages, last.GetStatus())
		}
	})
}

// GetTask takes at most 25 s, and the error then blames KooDrive.
func TestGetTaskIsBounded(t *testing.T) {
	bubble(t, func(c *server.Config) { c.Upstream.Timeout = time.Minute }, func(t *testing.T, s *system) {
		s.koodrive.SetFault(&koodrivetest.Fault{Hang: true})
		for _, door := range getDoors {
			start := time.Now()
			v := s.fail(t.Context(), t, door, call{id: taskID, header: bearer})
			if v.reason != "UPSTREAM_TIMEOUT" || time.Since(start) != service.GetTimeout {
				t.Errorf("%s: %+v after %v", door, v, time.Since(start))
			}
		}
	})
}
