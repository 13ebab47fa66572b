package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// The lifetime, the server's stop, the caller's deadline and a client that leaves end a list as they end a watch.
func TestListEndFromOutside(t *testing.T) {
	for _, surface := range surfaces {
		t.Run("lifetime "+surface, func(t *testing.T) {
			bubble(t, func(c *server.Config) { c.Service.WatchLifetime = time.Minute }, func(t *testing.T, s *system) {
				got := s.watchTasks(t.Context(), t, surface, s.fleet(10))
				if v := verdictOf(t, got.end); v.reason != "WATCH_LIFETIME_REACHED" || v.retry == nil || len(got.of) != 10 || got.end.at > 73*time.Second {
					t.Errorf("%+v after %v", v, got.end.at)
				}
			})
		})
		t.Run("drain "+surface, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				ids := s.fleet(10)
				var all sync.WaitGroup
				var mu sync.Mutex
				var ends []time.Duration
				var stopped time.Time
				for range 50 {
					all.Go(func() {
						got := s.watchTasks(t.Context(), t, surface, ids)
						mu.Lock()
						defer mu.Unlock()
						if v := verdictOf(t, got.end); v.reason != "SERVER_DRAINING" || v.retry == nil || len(got.of) != 10 {
							t.Errorf("%+v", got.end)
						}
						ends = append(ends, time.Since(stopped))
					})
				}
				time.Sleep(5 * time.Second)
				stopped = time.Now()
				s.stop()
				all.Wait()
				if low, high := slices.Min(ends), slices.Max(ends); high-low < server.DefaultGrace/2*8/10 || high > server.DefaultGrace/2 {
					t.Errorf("ends from %v to %v", low, high)
				}
				if err := <-s.stopped; err != nil {
					t.Error(err)
				}
				s.stopped <- nil
			})
		})
		t.Run("left "+surface, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetFault(&koodrivetest.Fault{Latency: 300 * time.Millisecond})
				ctx, leave := context.WithCancel(t.Context())
				var client sync.WaitGroup
				client.Go(func() { s.followTasks(ctx, t, surface, s.fleet(60), func(event) {}) })
				time.Sleep(10 * time.Second)
				leave()
				synctest.Wait()
				n := s.koodrive.Count()
				for _, r := range s.koodrive.Requests() {
					if r.Ended.IsZero() {
						t.Error("a request is still in flight")
					}
				}
				if time.Sleep(time.Minute); s.koodrive.Count() != n {
					t.Errorf("%d requests after the client has left", s.koodrive.Count()-n)
				}
				client.Wait()
			})
		})
	}
	t.Run("a client that does not read", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *system) {
			ids := s.fleet(100, koodrivetest.Step{Status: 1, Name: strings.Repeat("x", 10_000)})
			stream, err := s.tasks.WatchTasks(as(t.Context(), token), &taskv1.WatchTasksRequest{TaskIds: ids})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			for err == nil {
				_, err = stream.Recv()
			}
			if v := read(t, status.Convert(err)); v.reason != "WATCHER_TOO_SLOW" || v.retry == nil {
				t.Errorf("%+v", v)
			}
		})
	})
	bubble(t, nil, func(t *testing.T, s *system) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got := s.watchTasks(ctx, t, "grpc", s.fleet(10))
		if v := verdictOf(t, got.end); v.reason != "CALLER_DEADLINE" || got.end.at != 10*time.Second-30*time.Millisecond {
			t.Errorf("%+v after %v", v, got.end.at)
		}
	})
}

// A client that reads slowly does not keep its list beyond the lifetime or the stop, but gets the last states first.
func TestListOfASlowReaderEnds(t *testing.T) {
	for name, row := range map[string]struct {
		lifetime time.Duration
		reason   string
	}{"lifetime": {time.Minute, "WATCH_LIFETIME_REACHED"}, "drain": {0, "SERVER_DRAINING"}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(c *server.Config) { c.Service.WatchLifetime = row.lifetime }, func(t *testing.T, s *system) {
				long := strings.Repeat("x", 10_000)
				var changes []koodrivetest.Step
				for i := range 300 {
					changes = append(changes, koodrivetest.Step{Status: 1, Name: long + fmt.Sprint(i)})
				}
				ids := s.fleet(100, changes...)
				stream, err := s.tasks.WatchTasks(as(t.Context(), token), &taskv1.WatchTasksRequest{TaskIds: ids})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if row.lifetime == 0 {
					time.AfterFunc(time.Minute, s.stop)
				}
				for err == nil {
					_, err = stream.Recv()
					time.Sleep(500 * time.Millisecond) // Slow, but what gRPC has buffered is read within half of the grace.
				}
				if v := read(t, status.Convert(err)); v.reason != row.reason || time.Since(start) > 3*time.Minute {
					t.Errorf("%+v after %v", v, time.Since(start))
				}
				if row.lifetime == 0 {
					if err := <-s.stopped; err != nil {
						t.Error(err)
					}
					s.stopped <- nil
				}
			})
		})
	}
}

// A list ends with its caller's token, and when the policy no longer allows the user.
func TestListEndsWithTheCallersRights(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
				for _, door := range listDoors {
					start := time.Now()
					short := "Bearer " + s.jwt(map[string]any{"exp": start.Add(10 * time.Second).Unix()})
					err := s.try(t.Context(), t, door, s.mode.call(taskID, short))
					if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "CALLER_UNAUTHENTICATED") && !strings.Contains(err.Error(), "Unauthenticated") || took > 11*time.Second {
						t.Errorf("%s: %v after %v", door, err, took)
					}
					if !m.app {
						continue
					}
					time.AfterFunc(20*time.Second, func() { s.allow(t, aliceAsA) })
					start = time.Now()
					err = s.try(t.Context(), t, door, s.mode.call(taskID, s.good()))
					if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "USER_NOT_ALLOWED") && !strings.Contains(err.Error(), "PermissionDenied") || took > 20*time.Second+service.DefaultHeartbeat {
						t.Errorf("%s: %v after %v", door, err, took)
					}
					s.allow(t, everybodyAsTheUser)
				}
			})
		})
	}
}
