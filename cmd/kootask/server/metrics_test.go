package server_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// Each event increases its own counters, and no others of those that a row names.
func TestEveryEventIsCounted(t *testing.T) {
	t.Parallel()
	get := func(t *testing.T, s *system) {
		t.Helper()
		_, _ = s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID})
	}
	watch := func(t *testing.T, s *system) {
		t.Helper()
		s.watch(t.Context(), t, "grpc", taskID)
	}
	lets := func(of string, n int) map[string]float64 { // A finished task, after n requests.
		return map[string]float64{
			`observations_total{source="fresh"}`: float64(n), `upstream_requests_total{outcome="OK"}`: float64(n),
			`watch_ends_total{reason="` + of + `"}`: 1,
		}
	}
	and := func(all ...map[string]float64) map[string]float64 {
		sum := map[string]float64{}
		for _, m := range all {
			maps.Copy(sum, m)
		}
		return sum
	}
	one := func(names ...string) map[string]float64 {
		m := map[string]float64{}
		for _, name := range names {
			m[name] = 1
		}
		return m
	}
	rows := map[string]struct {
		configure func(*server.Config)
		steps     []koodrivetest.Step
		do        func(*testing.T, *system)
		want      map[string]float64
	}{
		"a watch of three states": {nil, steps(0, 1, 2), watch, lets("OK", 3)},
		"a step back":             {nil, steps(0, 1, 0, 2), watch, and(lets("OK", 4), one("state_regressions_total"))},
		"unknown numbers": {nil, []koodrivetest.Step{{Fault: answer(`"code":0,` + id + `,"status":77,"taskType":9`)}, {Status: 3, ResultCode: "18000999"}}, watch,
			and(lets("OK", 2), one(`unknown_values_total{field="status"}`, `unknown_values_total{field="task_type"}`, `unknown_values_total{field="result_code"}`))},
		"a strike": {nil, faults(code(401, "1")), watch,
			and(lets("OK", 2), one(`watch_strikes_total{outcome="UPSTREAM_TOKEN_REJECTED"}`, `upstream_requests_total{outcome="UPSTREAM_TOKEN_REJECTED"}`))},
		"a poll that fails": {nil, faults(body(502, "")), watch,
			and(lets("OK", 2), one(`upstream_requests_total{outcome="UPSTREAM_UNAVAILABLE"}`))},
		"a missing task": {nil, []koodrivetest.Step{{Fault: code(400, "13000309")}}, watch,
			one(`failures_total{outcome="TASK_NOT_FOUND",port="grpc"}`, `watch_ends_total{reason="TASK_NOT_FOUND"}`,
				`watch_strikes_total{outcome="TASK_NOT_FOUND"}`, `upstream_requests_total{outcome="TASK_NOT_FOUND"}`)},
		"a call that is tried twice": {nil, []koodrivetest.Step{{Fault: body(502, "")}, {Status: 2}}, get,
			one(`retries_total{granted="true"}`, `upstream_requests_total{outcome="UPSTREAM_UNAVAILABLE"}`,
				`upstream_requests_total{outcome="OK"}`, `observations_total{source="fresh"}`)},
		"a call that is answered from memory": {nil, steps(2), func(t *testing.T, s *system) { get(t, s); get(t, s) },
			one(`observations_total{source="fresh"}`, `observations_total{source="memory"}`, `upstream_requests_total{outcome="OK"}`)},
		"a call that joins another": {nil, []koodrivetest.Step{{Status: 1, Fault: &koodrivetest.Fault{Latency: time.Second}}},
			func(t *testing.T, s *system) {
				var both sync.WaitGroup
				both.Go(func() { get(t, s) })
				both.Go(func() { get(t, s) })
				both.Wait()
			},
			one(`observations_total{source="fresh"}`, `observations_total{source="joined"}`, `upstream_requests_total{outcome="OK"}`)},
		"a deadline": {nil, steps(1), func(t *testing.T, s *system) {
			ctx, leave := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer leave()
			s.followGRPC(ctx, taskID, func(event) {})
			<-time.After(time.Second)
		}, and(lets("CALLER_DEADLINE", 1), one(`failures_total{outcome="CALLER_DEADLINE",port="grpc"}`))},
		"a request that the HTTP port refuses": {nil, steps(1), func(t *testing.T, s *system) { s.get(t, request(t.Context(), t, "/v1/tasks/1?a=b")) },
			one(`http_refused_total{outcome="QUERY_INVALID"}`)},
		"the limit of a credential": {func(c *server.Config) { c.Service.Quota.MaxTasksPerCredential = -1 }, steps(1), watch,
			one(`limit_reached_total{limit="max-tasks-per-credential"}`, `failures_total{outcome="CALLER_LIMIT_REACHED",port="grpc"}`)},
		"the limit of all": {func(c *server.Config) { c.Service.Quota.MaxTasks = -1 }, steps(1), watch,
			one(`limit_reached_total{limit="max-tasks"}`, `failures_total{outcome="FACADE_OVERLOADED",port="grpc"}`)},
		"the limit of a peer": {func(c *server.Config) { c.Service.Quota.NewTasksPerPeer = -1 }, steps(1), watch,
			one(`limit_reached_total{limit="new-tasks-per-peer"}`, `failures_total{outcome="CALLER_LIMIT_REACHED",port="grpc"}`)},
		"a client that leaves": {nil, steps(1), func(t *testing.T, s *system) {
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(500*time.Millisecond, leave)
			s.followGRPC(ctx, taskID, func(event) {})
			<-time.After(time.Second)
		}, and(lets("CANCELLED", 1), one(`failures_total{outcome="CALLER_CANCELLED",port="grpc"}`))},
		"a task that disappears": {nil, []koodrivetest.Step{{Status: 1}, {Fault: code(400, "13000309")}}, watch, map[string]float64{
			`observations_total{source="fresh"}`: 1, `upstream_requests_total{outcome="OK"}`: 1,
			`upstream_requests_total{outcome="TASK_NOT_FOUND"}`: 3, `watch_strikes_total{outcome="TASK_NOT_FOUND"}`: 3,
			`watch_ends_total{reason="TASK_NOT_FOUND"}`: 1, `failures_total{outcome="TASK_DISAPPEARED",port="grpc"}`: 1,
		}},
		"a watch that gets stale": {func(c *server.Config) { c.Service.StaleAfter = 2500 * time.Millisecond },
			[]koodrivetest.Step{{Status: 1}, {Fault: &koodrivetest.Fault{Hang: true}}}, watch, map[string]float64{
				`observations_total{source="fresh"}`: 1, `upstream_requests_total{outcome="OK"}`: 1,
				`upstream_requests_total{outcome="CALLER_CANCELLED"}`: 1, `watch_ends_total{reason="UPSTREAM_STALE"}`: 1,
				`failures_total{outcome="UPSTREAM_STALE",port="grpc"}`: 1,
			}},
		"a queue timeout": {func(c *server.Config) { c.Upstream.AtOnce = 1 },
			[]koodrivetest.Step{{Status: 1, Fault: &koodrivetest.Fault{Latency: 5 * time.Second}}}, func(t *testing.T, s *system) {
				var slow sync.WaitGroup
				slow.Go(func() { get(t, s) })
				<-time.After(time.Millisecond)
				s.fail(t.Context(), t, "grpc get", call{id: exampleID, header: bearer})
				slow.Wait()
			}, one(`limit_reached_total{limit="queue"}`, `failures_total{outcome="FACADE_OVERLOADED",port="grpc"}`,
				`observations_total{source="fresh"}`, `upstream_requests_total{outcome="OK"}`)},
		"a lifetime": {func(c *server.Config) { c.Service.WatchLifetime = time.Second / 2 }, steps(1), watch,
			and(lets("WATCH_LIFETIME_REACHED", 1), one(`failures_total{outcome="WATCH_LIFETIME_REACHED",port="grpc"}`))},
	}
	family := func(series string) string { name, _, _ := strings.Cut(series, "{"); return name }
	named := map[string]bool{}
	for _, row := range rows {
		for series := range row.want {
			named[family(series)] = true
		}
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			bubble(t, row.configure, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: row.steps})
				got := s.moved(t, func() { row.do(t, s) })
				maps.DeleteFunc(got, func(series string, _ float64) bool { return !named[family(series)] })
				if diff := cmp.Diff(row.want, got); diff != "" {
					t.Errorf("counters: correct the code, or this row of cmd/kootask/server/metrics_test.go (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Withheld requests are counted, by reason.
func TestWithheldRequestsAreCounted(t *testing.T) {
	for name, row := range map[string]struct {
		fault    *koodrivetest.Fault
		want     string
		circuits float64
	}{
		"an open circuit": {body(503, ""), `upstream_withheld_total{outcome="UPSTREAM_CIRCUIT_OPEN"}`, 1},
		"a Retry-After":   {koodrivetest.Throttled("30"), `upstream_withheld_total{outcome="UPSTREAM_RATE_LIMITED"}`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetFault(row.fault)
				for range 25 {
					s.fail(t.Context(), t, "grpc get", call{id: taskID, header: bearer})
				}
				got := s.moved(t, func() { s.fail(t.Context(), t, "rest", call{id: taskID, header: bearer}) })
				if got[row.want] != 1 || s.scrape(t)["kootask_upstream_circuit_open"] != row.circuits {
					t.Error(got)
				}
			})
		})
	}
}

// The gauges show the current state, and the histograms show durations.
func TestGauges(t *testing.T) {
	bubble(t, func(c *server.Config) { c.Upstream.AtOnce, c.Service.PollMax = 1, time.Second }, func(t *testing.T, s *system) {
		check := func(when string, want map[string]float64) {
			t.Helper()
			got := s.scrape(t)
			for name, value := range want {
				if got["kootask_"+name] != value {
					t.Errorf("%s: %s is %v, want %v", when, name, got["kootask_"+name], value)
				}
			}
		}
		check("at first", map[string]float64{"watchers": 0, "watched_tasks": 0, "oldest_confirmation_seconds": 0, "upstream_circuit_open": 0})
		s.koodrive.SetSkew(time.Minute)
		slow := &koodrivetest.Fault{Latency: 3 * time.Second}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 0, Fault: slow}, {Status: 1, Fault: slow}}})
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() { s.follow(ctx, t, surfaces[i%3], taskID, func(event) {}) })
		}
		time.Sleep(time.Millisecond)
		all.Go(func() { s.follow(ctx, t, "grpc", exampleID, func(event) {}) })
		time.Sleep(2 * time.Second)
		check("while KooDrive is slow", map[string]float64{
			"watchers": 31, "watched_tasks": 2, "upstream_requests_in_flight": 1, "upstream_requests_queued": 1,
			"oldest_confirmation_seconds": 2.001, "upstream_clock_skew_seconds": 0,
		})
		time.Sleep(1500 * time.Millisecond)
		check("after its answer", map[string]float64{
			"watchers": 30, "watched_tasks": 1, "upstream_requests_queued": 0, "upstream_queue_wait_seconds_count": 2,
			"upstream_queue_wait_seconds_sum": 2.999, "upstream_request_seconds_sum": 3, "poll_lag_seconds_sum": 2.999, "sends": 0,
			"oldest_confirmation_seconds": 0.501, "upstream_clock_skew_seconds": 60, "change_delivery_seconds_count": 31,
		})
		leave()
		all.Wait()
		time.Sleep(time.Second)
		check("at last", map[string]float64{"watchers": 0, "watched_tasks": 0, "upstream_requests_in_flight": 0})
	})
}

// The number of series does not depend on callers or tasks.
func TestSeriesDoNotGrow(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *system) {
		strangers := func(round int) {
			for i := range 100 {
				s.koodrive.AddToken(fmt.Sprint("t", round, i), 0)
				_, _ = s.tasks.GetTask(as(t.Context(), fmt.Sprint("t", round, i), "x-user-id", fmt.Sprint(i)), &taskv1.GetTaskRequest{TaskId: fmt.Sprint("id", round, i)})
				_ = s.conn.Invoke(as(t.Context(), token), fmt.Sprintf("/koodrive.task.v1.TaskService/M%d%d", round, i), &taskv1.GetTaskRequest{}, &taskv1.GetTaskResponse{})
				r := request(t.Context(), t, fmt.Sprintf("/v1/tasks/%d-%d", round, i), "User-Agent", fmt.Sprint(round, i))
				if i%2 == 0 {
					r.Method = fmt.Sprintf("M%d-%d", round, i)
				}
				resp, err := s.http.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		}
		strangers(0)
		before := len(s.scrape(t))
		strangers(1)
		if after := len(s.scrape(t)); after != before || before < 50 {
			t.Errorf("%d series have become %d", before, after)
		}
	})
}

// Calls are counted as gRPC servers do. Refused retries are counted too. A failing poll confirms nothing.
func TestCountsOfCalls(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: faults(repeat(100, body(502, ""))...)})
		ctx, leave := context.WithTimeout(t.Context(), time.Minute)
		defer leave()
		s.followGRPC(ctx, taskID, func(event) {})
		s.koodrive.SetFault(body(502, ""))
		for range 15 {
			s.fail(t.Context(), t, "rest", call{id: exampleID, header: bearer})
			time.Sleep(10 * time.Second)
		}
		got := s.scrape(t)
		const labels = `{grpc_code="%s",grpc_method="%s",grpc_service="koodrive.task.v1.TaskService",grpc_type="%s",port="%s"}`
		for name, want := range map[string]float64{
			"grpc_server_handled_total" + fmt.Sprintf(labels, "Unavailable", "GetTask", "unary", "http"):                                 15,
			"grpc_server_handled_total" + fmt.Sprintf(labels, "DeadlineExceeded", "WatchTask", "server_stream", "grpc"):                  1,
			`grpc_server_started_total{grpc_method="GetTask",grpc_service="koodrive.task.v1.TaskService",grpc_type="unary",port="http"}`: 15,
			`kootask_retries_total{granted="true"}`: 10, `kootask_retries_total{granted="false"}`: 5,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		s.koodrive.SetFault(nil)
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: faults(repeat(100, body(502, ""))...)})
		joined, leaveToo := context.WithTimeout(t.Context(), 30*time.Second)
		defer leaveToo()
		go s.followGRPC(joined, taskID, func(event) {})
		time.Sleep(20 * time.Second)
		if got := s.scrape(t)["kootask_oldest_confirmation_seconds"]; got < 15 {
			t.Errorf("the oldest confirmation is %v s old", got)
		}
	})
}

// The public ports have no metrics.
func TestMetricsAreTheOperators(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		if resp, _ := s.get(t, request(t.Context(), t, "/metrics")); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%d", resp.StatusCode)
		}
	})
}
