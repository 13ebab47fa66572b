package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A stop ends every watch with a reason and a retry delay that differs from watch to watch, refuses new ones, and ends soon.
func TestStopEndsEveryWatch(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		var mu sync.Mutex
		var delays, ends []time.Duration
		var all sync.WaitGroup
		for i := range 90 {
			surface := surfaces[i%3]
			all.Go(func() {
				events := s.watch(t.Context(), t, surface, taskID)
				if got := names(t, events); got[0] != "EXECUTING" || got[len(got)-1] != "failure" {
					t.Errorf("%s saw %q", surface, got)
					return
				}
				v := verdictOf(t, events[len(events)-1])
				if v.code != codes.Unavailable || v.reason != "SERVER_DRAINING" || v.retry == nil {
					t.Errorf("%s ended with %+v", surface, v)
					return
				}
				if ms, _ := strconv.ParseInt(events[len(events)-1].wait, 10, 64); surface == sse &&
					(time.Duration(ms)*time.Millisecond-v.retry.GetRetryDelay().AsDuration()).Abs() > time.Millisecond {
					t.Errorf("retry: %s, RetryInfo %v", events[len(events)-1].wait, v.retry)
				}
				mu.Lock()
				defer mu.Unlock()
				delays = append(delays, v.retry.GetRetryDelay().AsDuration())
				ends = append(ends, events[len(events)-1].at)
			})
		}
		synctest.Wait()
		start := time.Now()
		s.stop()
		synctest.Wait()
		late := taskv1.NewTaskServiceClient(s.conn)
		if stream, err := late.WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: exampleID}); err == nil {
			// The port accepts no more calls, or the service refuses this one.
			if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("a watch during the stop: %v", err)
			}
		}
		all.Wait()
		err := <-s.stopped
		if err != nil || time.Since(start) > server.DefaultGrace/2+time.Second { // net/http checks twice per second.
			t.Errorf("stopped with %v after %v", err, time.Since(start))
		}
		s.stopped <- nil
		if len(ends) == 0 {
			t.Fatal("no watch ended as it should")
		}
		if low, high := slices.Min(ends), slices.Max(ends); high-low < server.DefaultGrace/2*8/10 {
			t.Errorf("the watches ended from %v to %v", low, high)
		}
		if low, high := slices.Min(delays), slices.Max(delays); low > time.Second || high < 4*time.Second || high > 5*time.Second {
			t.Errorf("delays from %v to %v", low, high)
		}
	})
}

// readyz returns the status of /readyz on the admin port.
func readyz(t *testing.T, s *system) int {
	t.Helper()
	resp, err := s.admin.Get("http://localhost/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// A stopping server reports it, refuses watches, and still answers calls in flight.
func TestWhileStopping(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		health := healthv1.NewHealthClient(s.conn)
		check := func() string {
			resp, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "koodrive.task.v1.TaskService"})
			return fmt.Sprint(resp.GetStatus(), err)
		}
		ready := func() int { return readyz(t, s) }
		if got := check(); got != "SERVING <nil>" || ready() != http.StatusOK {
			t.Errorf("health %s, ready %d", got, ready())
		}
		watchHealth, err := health.Watch(t.Context(), &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := watchHealth.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_SERVING {
			t.Fatal(m, err)
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID})
		s.koodrive.SetFault(&koodrivetest.Fault{Latency: 3 * time.Second})
		var slow sync.WaitGroup
		slow.Go(func() {
			if resp, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
				t.Errorf("the call in flight: %v, %v", resp, err)
			}
		})
		slow.Go(func() {
			if resp, body := s.get(t, request(t.Context(), t, "/v1/tasks/"+exampleID)); resp.StatusCode != http.StatusOK {
				t.Errorf("the request in flight: %d %s", resp.StatusCode, body)
			}
		})
		stream, err := s.tasks.WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: taskID})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		s.stop()
		synctest.Wait()
		if m, err := watchHealth.Recv(); err != nil || m.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
			t.Errorf("health: %v, %v", m, err)
		}
		if ready() != http.StatusServiceUnavailable {
			t.Errorf("ready %d", ready())
		}
		if resp, err := s.admin.Get("http://localhost/healthz"); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("healthz: %v, %v", resp, err)
		}
		slow.Wait()
		for err == nil {
			_, err = stream.Recv()
		}
		if v := read(t, status.Convert(err)); v.reason != "SERVER_DRAINING" {
			t.Errorf("the watch that waited for its first answer: %v", err)
		}
		if err := <-s.stopped; err != nil {
			t.Errorf("stopped with %v", err)
		}
		s.stopped <- nil
	})
}

// Calls that do not end by themselves are cancelled when the grace time is over, and Run returns an error.
func TestStopIsBounded(t *testing.T) {
	const grace = 3 * time.Second // Less than a call may take.
	bubble(t, func(c *server.Config) { c.Grace, c.ShutdownDelay = grace, time.Hour }, func(t *testing.T, s *system) {
		s.koodrive.SetFault(&koodrivetest.Fault{Hang: true})
		var call sync.WaitGroup
		call.Go(func() {
			if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID}); status.Code(err) != codes.Unavailable {
				t.Errorf("the call: %v", err)
			}
		})
		synctest.Wait()
		start := time.Now()
		s.stop()
		if err := <-s.stopped; err == nil || !strings.Contains(err.Error(), "cut off") || time.Since(start) != grace {
			t.Errorf("stopped with %v after %v", err, time.Since(start))
		}
		call.Wait()
		s.stopped <- nil
	})
}
