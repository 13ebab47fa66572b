package server_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A stop ends every wait with a reason, spread over half of the grace, and refuses new ones.
func TestStopEndsEveryWait(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
		var mu sync.Mutex
		var ends []time.Duration
		var all sync.WaitGroup
		var stopped time.Time
		for i := range 200 {
			all.Go(func() {
				_, v := s.wait(t.Context(), t, waitDoors[i%2], taskID, "55s")
				mu.Lock()
				defer mu.Unlock()
				if v.reason != "SERVER_DRAINING" || v.retry == nil {
					t.Errorf("%s: %+v", waitDoors[i%2], v)
				}
				ends = append(ends, time.Since(stopped))
			})
		}
		time.Sleep(5 * time.Second)
		stopped = time.Now()
		s.stop()
		all.Wait()
		if low, high := slices.Min(ends), slices.Max(ends); len(ends) != 200 || high > server.DefaultGrace/2 || high-low < server.DefaultGrace/2*9/10 {
			t.Errorf("%d waits ended from %v to %v", len(ends), low, high)
		}
		if err := <-s.stopped; err != nil {
			t.Error(err)
		}
		s.stopped <- nil
	})
}

// A stop whose delay has passed refuses a wait at once.
func TestWaitDuringAStop(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
		var call sync.WaitGroup
		call.Go(func() { _, _ = s.wait(t.Context(), t, "grpc wait", taskID, "55s") }) // Keeps the connection.
		synctest.Wait()
		s.stop()
		synctest.Wait()
		start := time.Now()
		if _, err := s.tasks.WaitTask(as(t.Context(), token), &taskv1.WaitTaskRequest{TaskId: exampleID}); status.Code(err) != codes.Unavailable || time.Since(start) > 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		call.Wait()
		if err := <-s.stopped; err != nil {
			t.Error(err)
		}
		s.stopped <- nil
	})
}

// A client that leaves ends the wait at once, also over HTTP/1.1 by closing its side.
func TestLeavingAWait(t *testing.T) {
	for _, protocol := range []string{"gRPC", "HTTP/1.1", "HTTP/2.0"} {
		for _, way := range []string{"gives up", "hangs up"} {
			t.Run(protocol+" "+way, func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, s *system) {
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
					if protocol == "HTTP/2.0" {
						h2c(s.http)
					}
					var conn net.Conn
					s.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (_ net.Conn, err error) {
						conn, err = s.httpPort.Dial(ctx, network, address)
						return conn, err
					}
					ctx, giveUp := context.WithCancel(t.Context())
					defer giveUp()
					var client sync.WaitGroup
					client.Go(func() {
						if protocol == "gRPC" {
							_, _ = s.tasks.WaitTask(as(ctx, token), &taskv1.WaitTaskRequest{TaskId: taskID})
						} else if resp, err := s.http.Do(request(ctx, t, "/v1/tasks/"+taskID+":wait")); err == nil {
							_ = resp.Body.Close()
						}
					})
					time.Sleep(500 * time.Millisecond)
					synctest.Wait()
					switch {
					case way == "gives up":
						giveUp()
					case protocol == "gRPC":
						_ = s.conn.Close()
					default:
						_ = conn.Close()
					}
					time.Sleep(time.Second / 2)
					if n := s.koodrive.Count(); n != 1 || strings.Count(s.calls(), `"outcome":"CALLER_CANCELLED"`) != 1 {
						t.Errorf("KooDrive got %d requests; the log: %s", n, s.calls())
					}
					if time.Sleep(time.Minute); s.koodrive.Count() != 1 {
						t.Errorf("KooDrive got %d requests", s.koodrive.Count())
					}
					client.Wait()
				})
			})
		}
	}
}

// An invalid timeout is refused, and costs KooDrive nothing.
func TestBadTimeoutsOfWaits(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, bad := range []*durationpb.Duration{{Seconds: -1}, {Nanos: -1}} {
			_, err := s.tasks.WaitTask(as(t.Context(), token), &taskv1.WaitTaskRequest{TaskId: taskID, Timeout: bad})
			if v := read(t, status.Convert(err)); !slices.Equal(v.violations, []string{"timeout OUT_OF_RANGE"}) {
				t.Errorf("%v: %+v", bad, v)
			}
		}
		_, err := s.tasks.WaitTask(as(t.Context(), token), &taskv1.WaitTaskRequest{TaskId: taskID, Timeout: &durationpb.Duration{Seconds: 1, Nanos: -1}})
		if v := read(t, status.Convert(err)); !slices.Equal(v.violations, []string{"timeout MALFORMED"}) {
			t.Errorf("%+v", v)
		}
		for query, want := range map[string]string{
			"timeout=-1s": "timeout MALFORMED", "timeout=50": "timeout MALFORMED", "timeout=1m": "timeout MALFORMED", "timeout=": "timeout MALFORMED",
			"timeout=1s&timeout=1s": "timeout REPEATED", "maxAge=1s": "query UNKNOWN_PARAMETER", "ticket=x": "query UNKNOWN_PARAMETER",
		} {
			v := s.fail(t.Context(), t, "rest wait", call{id: taskID, header: bearer, query: "?" + query})
			if v.http != http.StatusBadRequest || !slices.Equal(v.violations, []string{want}) {
				t.Errorf("%s: %+v", query, v)
			}
		}
		if n := s.koodrive.Count(); n != 0 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

// A wait counts as a watch while it lasts, and not in the latency of calls.
func TestWaitIsCountedAsAWatch(t *testing.T) {
	limited := func(c *server.Config) { c.Service.Quota.MaxTasksPerCredential = 1 }
	bubble(t, limited, func(t *testing.T, s *system) {
		for _, id := range []string{taskID, "2"} {
			s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: []koodrivetest.Step{{Status: 1}}})
		}
		for _, door := range waitDoors {
			var waiting sync.WaitGroup
			waiting.Go(func() { _, _ = s.wait(t.Context(), t, door, taskID, "20s") })
			synctest.Wait()
			if n := s.scrape(t)["kootask_watchers"]; n != 1 {
				t.Errorf("%s: %v watches are open", door, n)
			}
			if _, v := s.wait(t.Context(), t, door, "2", "0s"); v.reason != "CALLER_LIMIT_REACHED" {
				t.Errorf("%s: %+v", door, v)
			}
			waiting.Wait()
		}
		if all := s.scrape(t); all["kootask_watchers"] != 0 || all[`kootask_watch_ends_total{reason="OK"}`] != 2 {
			t.Errorf("%v watches are open, and %v have ended", all["kootask_watchers"], all[`kootask_watch_ends_total{reason="OK"}`])
		}
	})
}
