package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// While the common circuit is open, no caller sees another's data, health reports it, and the server stays ready. A
// credential that was revoked meanwhile is rejected afterwards.
func TestRest(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		health := func(name string, want healthv1.HealthCheckResponse_ServingStatus) {
			t.Helper()
			resp, err := healthv1.NewHealthClient(s.conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: name})
			if err != nil || resp.GetStatus() != want {
				t.Errorf("health of %q: %v, %v", name, resp, err)
			}
		}
		s.koodrive.AddToken("other", 0)
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		health(rpcserver.HealthKooDrive, healthv1.HealthCheckResponse_SERVING)
		var events []event
		var watching sync.WaitGroup
		watching.Go(func() { events = s.watch(t.Context(), t, "grpc", taskID) })
		time.Sleep(500 * time.Millisecond)

		s.koodrive.SetFault(koodrivetest.Answer(503, ""))
		other := []string{"authorization", "Bearer other"}
		for i := range upstream.BreakerAttempts {
			s.fail(t.Context(), t, "grpc get", call{id: fmt.Sprint("t-", i%upstream.BreakerTasks), header: [][]string{bearer, other}[i%2]})
		}
		health(rpcserver.HealthKooDrive, healthv1.HealthCheckResponse_NOT_SERVING)
		health("", healthv1.HealthCheckResponse_SERVING)
		if resp, err := s.admin.Get("http://localhost/readyz"); err != nil || resp.Body.Close() != nil || resp.StatusCode != 200 {
			t.Errorf("ready: %v, %v", resp, err)
		}
		asked := s.koodrive.Count()
		for _, door := range doors {
			v := s.fail(t.Context(), t, door, call{id: taskID, header: other})
			if v.reason != "UPSTREAM_UNAVAILABLE" || v.retry == nil || v.metadata["upstreamStatus"] != "" {
				t.Errorf("%s: %+v", door, v)
			}
		}
		if s.koodrive.Count() != asked {
			t.Error("KooDrive got a request while the circuit was open")
		}
		s.koodrive.RevokeToken(token)
		s.koodrive.SetFault(nil)
		watching.Wait()
		if v := verdictOf(t, events[len(events)-1]); v.reason != "CREDENTIAL_REJECTED" {
			t.Errorf("the watch saw %q and ended with %+v", names(t, events), v)
		}
		time.Sleep(time.Second) // The watch was the probe, and its rejection proves nothing.
		if _, err := s.tasks.GetTask(as(t.Context(), "other"), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
			t.Error(err)
		}
		health(rpcserver.HealthKooDrive, healthv1.HealthCheckResponse_SERVING)
	})
}

// Watches that begin together do not poll together: no second has three times its share.
func TestPollsAreOutOfStep(t *testing.T) {
	t.Parallel()
	// The ceiling would spread them too.
	together := func(c *server.Config) { c.Upstream.PerSecond = 10_000 }
	bubble(t, together, func(t *testing.T, s *system) {
		const watches, while, slot = 200, 30 * time.Second, time.Second
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		s.watchAll(ctx, t, &all, token, "t", watches)
		time.Sleep(3 * time.Minute)
		s.koodrive.ForgetRequests()
		time.Sleep(while)
		requests := s.koodrive.Requests()
		slots := map[int64]int{}
		most := 0
		for _, r := range requests {
			n := r.Received.UnixNano() / int64(slot)
			slots[n]++
			most = max(most, slots[n])
		}
		if share := len(requests) / int(while/slot); most > 3*share || len(requests) < watches {
			t.Errorf("%d of %d requests came in one second, %d is the mean", most, len(requests), share)
		}
		leave()
		all.Wait()
	})
}

// Every error passes proxies that allow 8 KiB of headers.
func TestErrorsPassNarrowDoors(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID})
		s.conn = s.dial(t, grpc.WithMaxHeaderListSize(8<<10))
		s.tasks = taskv1.NewTaskServiceClient(s.conn)
		bad := []string{"authorization", "a", "authorization", "b", "x-user-id", "a", "x-user-id", "b", "x-date", "a", "x-date", "b",
			"language", "a", "language", "b", "x-request-id", fmt.Sprintf("%064d", 1)}
		for _, door := range grpcDoors {
			if v := s.fail(t.Context(), t, door, call{id: taskID, header: bad}); v.reason != "REQUEST_INVALID" || len(v.violations) != 4 {
				t.Errorf("%s: %+v", door, v)
			}
			for name, row := range outcomeRows {
				s.koodrive.SetFault(row.fault)
				if v := s.fail(t.Context(), t, door, call{id: taskID, header: bearer}); v.reason != row.reason {
					t.Errorf("%s, %s: %+v", door, name, v)
				}
				time.Sleep(2 * upstream.MaxRetryAfter)
			}
		}
	})
}

// A client that opens watches and leaves them at once causes no more requests to KooDrive than any other, and leaves nothing
// behind.
func TestWatchesThatAreLeftAtOnce(t *testing.T) {
	t.Parallel()
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetFault(&koodrivetest.Fault{Latency: 50 * time.Millisecond})
		const second = 10
		for i := range 10_000 {
			ctx, leave := context.WithCancel(as(t.Context(), token))
			if _, err := s.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: fmt.Sprint("t", i%2000)}); err != nil {
				t.Fatal(err)
			}
			if i%7 == 0 {
				synctest.Wait()
			}
			leave()
			if i%(10_000/second) == 0 {
				time.Sleep(time.Second)
			}
		}
		time.Sleep(time.Second)
		if n := busiest(s.koodrive.Requests()); n > upstream.DefaultPerSecond+upstream.DefaultPerSecond/10+1 {
			t.Errorf("%d requests in a second", n)
		}
		got := s.scrape(t)
		if got["kootask_watchers"]+got["kootask_watched_tasks"]+got["kootask_upstream_requests_in_flight"]+got["kootask_upstream_requests_queued"] != 0 {
			t.Error(got)
		}
	})
}
