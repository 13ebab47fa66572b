package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A stop ends every watch with a reason and a delay that differ from watch to watch, refuses new ones, and is over soon.
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
			// The port takes no more calls, or the service refuses this one.
			if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
				t.Errorf("a watch during the stop: %v", err)
			}
		}
		all.Wait()
		err := <-s.stopped
		if err != nil || time.Since(start) > server.DefaultGrace/2+time.Second { // net/http looks twice a second.
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

// verdictOf reads the last event of a stream that failed.
func verdictOf(t *testing.T, e event) verdict {
	t.Helper()
	if e.err != nil {
		return read(t, status.Convert(e.err))
	}
	return read(t, parseStatus(t, e.data))
}

// readyz is the status that the admin port's /readyz answers.
func readyz(t *testing.T, s *system) int {
	t.Helper()
	resp, err := s.admin.Get("http://localhost/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// While it stops, a server says so, refuses watches, and still answers calls in flight.
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

// Calls that do not end by themselves are cut off after the grace time, and the stop reports it.
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

// During the delay, a stopping server reports not ready and otherwise works as before, so that balancers can notice. A person at a
// terminal does not wait for that.
func TestShutdownDelay(t *testing.T) {
	const delay = 2 * time.Second
	for name, row := range map[string]struct {
		grace, want time.Duration
		stop        func(*system)
	}{
		"SIGTERM":              {server.DefaultGrace, delay, func(s *system) { s.stop() }},
		"SIGTERM, short grace": {4 * time.Second, time.Second, func(s *system) { s.stop() }},
		"SIGINT":               {server.DefaultGrace, 0, func(s *system) { s.interrupt() }},
	} {
		bubble(t, func(c *server.Config) { c.Grace, c.ShutdownDelay = row.grace, delay }, func(t *testing.T, s *system) {
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
			ready := func() int { return readyz(t, s) }
			serving := func() bool {
				resp, err := healthv1.NewHealthClient(s.conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
				return err == nil && resp.GetStatus() == healthv1.HealthCheckResponse_SERVING
			}
			if ready() != http.StatusOK || !serving() {
				t.Error("the server is not ready")
			}
			var watches sync.WaitGroup
			watch := func(when string, least time.Duration) {
				for _, surface := range surfaces {
					watches.Go(func() {
						events := s.watch(t.Context(), t, surface, taskID)
						last := events[len(events)-1]
						if v := verdictOf(t, last); v.reason != "SERVER_DRAINING" || last.at < least || names(t, events)[0] != "EXECUTING" {
							t.Errorf("%s: %s, %s: %q after %v", name, surface, when, names(t, events), last.at)
						}
					})
				}
			}
			watch("before", row.want)
			time.Sleep(100 * time.Millisecond) // Connections are made.
			start := time.Now()
			row.stop(s)
			if row.want > 0 {
				time.Sleep(row.want - time.Millisecond)
				if ready() != http.StatusServiceUnavailable || serving() {
					t.Errorf("%s: the server is ready", name)
				}
				watch("in the delay", 0)
				conn := s.dial(t)
				if _, err := taskv1.NewTaskServiceClient(conn).GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
					t.Errorf("%s: a call over a new connection: %v", name, err)
				}
				if resp, body := s.get(t, request(t.Context(), t, "/v1/tasks/"+exampleID)); resp.StatusCode != http.StatusOK {
					t.Errorf("%s: a request: HTTP %d %s", name, resp.StatusCode, body)
				}
				synctest.Wait()
			}
			watches.Wait()
			err := <-s.stopped
			if took := time.Since(start); err != nil || took < row.want || took > row.want+row.grace/2+time.Second {
				t.Errorf("%s: stopped with %v after %v", name, err, took)
			}
			s.stopped <- nil
		})
	}
}

// Idle clients do not delay a stop: each of these by itself.
func TestStopWaitsForNobodyIdle(t *testing.T) {
	ways := map[string]func(t *testing.T, s *system){
		"reflection": func(t *testing.T, s *system) {
			stream, err := reflectionv1.NewServerReflectionClient(s.conn).ServerReflectionInfo(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}); err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		},
		"health": func(t *testing.T, s *system) {
			stream, err := healthv1.NewHealthClient(s.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Recv(); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, method := range openMethods {
		for messages := range 2 {
			ways[fmt.Sprintf("%s, %d messages", method, messages)] = func(t *testing.T, s *system) {
				stream, err := s.conn.NewStream(as(t.Context(), token), &grpc.StreamDesc{ClientStreams: true}, method)
				for range messages {
					err = errors.Join(err, stream.SendMsg(&taskv1.GetTaskRequest{TaskId: exampleID}))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for name, row := range hanging {
		if strings.Contains(name, "reads") { // Its answer is in flight.
			continue
		}
		ways[name] = func(t *testing.T, s *system) {
			conn := raw(t, s.ports()[row.port].port, row.text)
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
	}
	for name, way := range ways {
		for _, age := range []time.Duration{0, 3 * time.Second} {
			bubble(t, nil, func(t *testing.T, s *system) {
				way(t, s)
				synctest.Wait()
				time.Sleep(age)
				start := time.Now()
				s.stop()
				err := <-s.stopped
				limit := time.Second
				if name == "gRPC, a header" {
					limit = 6 * time.Second // gRPC's library waits for the answer to the ping that it sends with GOAWAY.
				}
				if took := time.Since(start); err != nil || took > limit {
					t.Errorf("%s, %v old: stopped with %v after %v", name, age, err, took)
				}
				s.stopped <- nil
			})
		}
	}
}

func TestAdminPort(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/debug/pprof/": 200, "/debug/pprof/goroutine": 200, "/": 404} {
			resp, err := s.admin.Get("http://localhost" + path)
			if err != nil {
				t.Fatal(err)
			}
			if _ = resp.Body.Close(); resp.StatusCode != want {
				t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
			}
		}
	})
}

// Health and reflection need no credential.
func TestHealthNeedsNoCredential(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		_, err := healthv1.NewHealthClient(s.conn).Check(context.Background(), &healthv1.HealthCheckRequest{})
		if err != nil {
			t.Error(err)
		}
		if lines := s.log.String(); lines != "" {
			t.Errorf("health is logged: %s", lines)
		}
		var answer struct{ OpenAPI string }
		resp, body := s.get(t, withoutCredential(request(t.Context(), t, "/openapi.json")))
		if err := json.Unmarshal([]byte(body), &answer); err != nil || !strings.HasPrefix(answer.OpenAPI, "3.1.") || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("openapi.json: %v, %v", resp, err)
		}
	})
}

func withoutCredential(r *http.Request) *http.Request {
	r.Header.Del("Authorization")
	return r
}
