package server_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// During the shutdown delay a server reports that it is not ready and works as before, so that balancers notice. SIGINT skips the
// delay.
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
		t.Run(name, func(t *testing.T) {
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
								t.Errorf("%s, %s: %q after %v", surface, when, names(t, events), last.at)
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
						t.Error("the server is ready")
					}
					watch("in the delay", 0)
					conn := s.dial(t)
					if _, err := taskv1.NewTaskServiceClient(conn).GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
						t.Errorf("a call over a new connection: %v", err)
					}
					if resp, body := s.get(t, request(t.Context(), t, "/v1/tasks/"+exampleID)); resp.StatusCode != http.StatusOK {
						t.Errorf("a request: HTTP %d %s", resp.StatusCode, body)
					}
					synctest.Wait()
				}
				watches.Wait()
				err := <-s.stopped
				if took := time.Since(start); err != nil || took < row.want || took > row.want+row.grace/2+time.Second {
					t.Errorf("stopped with %v after %v", err, took)
				}
				s.stopped <- nil
			})
		})
	}
}

// Idle clients delay no stop, each kind of them alone.
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
			t.Run(fmt.Sprintf("%s, %v old", name, age), func(t *testing.T) {
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
						t.Errorf("stopped with %v after %v", err, took)
					}
					s.stopped <- nil
				})
			})
		}
	}
}
