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

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/rates"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/quota"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// guess calls with as many invented credentials as it can for a time, from the current address of new connections, and returns
// their number.
func (s *system) guess(t *testing.T, door string, until time.Time, every time.Duration) (tried int) {
	t.Helper()
	for ; time.Now().Before(until); tried++ {
		var v verdict
		credential := fmt.Sprintf("guess-%p-%d", s, tried)
		if surface := strings.TrimSuffix(door, " watch"); !slices.Contains(surfaces, surface) {
			v = s.fail(t.Context(), t, door, call{id: taskID, header: []string{"authorization", "Bearer " + credential}})
		} else {
			s.credential = credential
			events := s.watch(t.Context(), t, surface, taskID)
			v = verdictOf(t, events[len(events)-1])
		}
		switch {
		case v.reason == "CREDENTIAL_REJECTED", v.reason == "SERVER_OVERLOADED" && v.retry != nil:
		case v.code == codes.ResourceExhausted && v.reason == "CALLER_LIMIT_REACHED" && v.retry != nil &&
			v.metadata["limitName"] == "new-tasks-per-peer" && v.metadata["limitValue"] == "20":
		default:
			t.Errorf("%s: %+v", door, v)
		}
		<-time.After(every)
	}
	return tried
}

// from returns the system as seen from an address.
func (s *system) from(t *testing.T, address string) *system {
	t.Helper()
	s.comeFrom(address)
	conn := s.dial(t)
	conn.Connect()
	seen := &system{koodrive: s.koodrive, conn: conn, tasks: taskv1.NewTaskServiceClient(conn), httpPort: s.httpPort, log: s.log}
	seen.http = httpClient(s.httpPort)
	seen.http.Transport.(*http.Transport).MaxConnsPerHost = 1 // Kept, so that later requests come from there too.
	seen.get(t, request(t.Context(), t, "/openapi.json"))
	synctest.Wait()
	t.Cleanup(seen.http.CloseIdleConnections)
	return seen
}

func defaultPeers(c *server.Config) { c.Service.Quota.NewTasksPerPeer = 0 }

const newTasks, burst = quota.DefaultNewTasksPerPeer, rates.Burst * quota.DefaultNewTasksPerPeer

// A peer with invented credentials gets 200 tries at once and 20 per second, over both doors together. Joining a task that is
// already polled is free.
func TestNewTasksOfOnePeerAreLimited(t *testing.T) {
	t.Parallel()
	bubble(t, defaultPeers, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		ctx, leave := context.WithCancel(t.Context())
		var watching, all sync.WaitGroup
		watching.Go(func() { s.follow(ctx, t, ndjson, taskID, func(event) {}) })
		time.Sleep(time.Second)
		const while = 20 * time.Second
		before, until := s.koodrive.Count(), time.Now().Add(while)
		for _, door := range []string{"grpc get", "rest"} {
			bad := s.from(t, "192.0.2.9:1")
			all.Go(func() {
				if tried := bad.guess(t, door, until, 10*time.Millisecond); tried < 800 {
					t.Errorf("%s: tried %d times", door, tried)
				}
			})
		}
		time.Sleep(while / 2)
		same := s.from(t, "192.0.2.9:2")
		joined, cancel := context.WithTimeout(ctx, time.Second)
		if events := same.watch(joined, t, "grpc", taskID); len(events) == 0 || events[0].name != "task" {
			t.Errorf("a task that is watched: %+v", events)
		}
		cancel()
		for range 3 {
			if _, err := same.tasks.GetTask(as(ctx, token), &taskv1.GetTaskRequest{TaskId: taskID, MaxAge: noAge}); err != nil {
				t.Errorf("a task that is watched: %v", err)
			}
		}
		all.Wait()
		most := newTasks*int(while/time.Second) + burst
		if n := s.koodrive.Count() - before; n < most-20 || n > most+20 { // The watch's, and those of the first and the last second.
			t.Errorf("KooDrive got %d requests, want about %d", n, most)
		}
		leave()
		watching.Wait()
	})
}

// An idle peer regains all of its tries, but no faster than the rate.
func TestIdlePeersRegainTheirTries(t *testing.T) {
	t.Parallel()
	bubble(t, func(c *server.Config) { c.Service.Quota.NewTasksPerPeer, c.Upstream.PerSecond = 0, 10_000 }, func(t *testing.T, s *system) {
		tries := 0
		for _, rest := range []time.Duration{0, 2 * time.Second, 5 * time.Second, rates.Burst * time.Second, time.Minute} {
			time.Sleep(rest)
			before := s.koodrive.Count()
			for range 2 * burst {
				tries++
				s.fail(t.Context(), t, "rest", call{id: taskID, header: []string{"authorization", fmt.Sprint("Bearer ", tries)}})
			}
			want := min(burst, newTasks*int(rest/time.Second))
			if rest == 0 {
				want = burst
			}
			if n := s.koodrive.Count() - before; n != want {
				t.Errorf("after %v KooDrive got %d requests at once, want %d", rest, n, want)
			}
		}
	})
}

// Three addresses send invented credentials, at every door and all the time. Authenticated callers are served: all three together
// take no more of the queue than three callers.
func TestInventedCredentialsStarveNobody(t *testing.T) {
	t.Parallel()
	bubble(t, defaultPeers, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		honest := s.from(t, "198.51.100.1:1")
		ctx, leave := context.WithCancel(t.Context())
		var watching, all sync.WaitGroup
		watching.Go(func() { honest.follow(ctx, t, "grpc", taskID, func(event) {}) })
		time.Sleep(time.Second)
		until := time.Now().Add(40 * time.Second)
		for i := range 3 {
			for _, door := range doors {
				for range 10 {
					bad := s.from(t, fmt.Sprintf("192.0.2.%d:1", i))
					all.Go(func() { bad.guess(t, door, until, time.Second) })
				}
			}
		}
		for i := range 20 {
			time.Sleep(2 * time.Second)
			id := fmt.Sprint("t-", i)
			s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: steps(1)})
			if _, err := honest.tasks.GetTask(as(ctx, token), &taskv1.GetTaskRequest{TaskId: id}); err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if got := s.scrape(t)["kootask_upstream_requests_queued"]; got > 3*(burst+newTasks*quota.PeerPatience.Seconds()) {
			t.Errorf("%v requests wait", got)
		}
		var last time.Time
		for _, r := range s.koodrive.Requests() {
			if r.TaskID != taskID || r.Header.Get("Authorization") != "Bearer "+token {
				continue
			}
			if !last.IsZero() && r.Received.Sub(last) > service.DefaultPollMax*13/10 {
				t.Errorf("the watch was not polled for %v", r.Received.Sub(last))
			}
			last = r.Received
		}
		leave()
		watching.Wait()
		all.Wait()
	})
}

// A thousand watches of one address that reconnect within 15 s, as a stop spreads them, are all admitted.
func TestHerdIsLetIn(t *testing.T) {
	t.Parallel()
	bubble(t, defaultPeers, func(t *testing.T, s *system) {
		ctx, leave := context.WithCancel(t.Context())
		var mu sync.Mutex
		first := map[string]int{}
		var all sync.WaitGroup
		for i := range rpcserver.MaxStreams {
			id := fmt.Sprint("t-", i)
			s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: steps(1)})
			all.Go(func() {
				shown := false
				s.follow(ctx, t, sse, id, func(e event) {
					mu.Lock()
					defer mu.Unlock()
					if !shown {
						first[e.name]++
					}
					shown = true
				})
			})
			time.Sleep(15 * time.Millisecond)
		}
		time.Sleep(quota.PeerPatience)
		mu.Lock()
		if first["task"]+first["heartbeat"] != rpcserver.MaxStreams {
			t.Errorf("they begin with %v", first)
		}
		mu.Unlock()
		leave()
		all.Wait()
	})
}

// A peer is a network address, which no request can forge, with all of its ports and all addresses of a host's network.
func TestPeers(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		first, second string
		header        []string // Of the second.
		same          bool
	}{
		"another port":             {"192.0.2.1:1", "192.0.2.1:2", nil, true},
		"another address":          {"192.0.2.1:1", "192.0.2.2:1", nil, false},
		"IPv4 in IPv6":             {"192.0.2.1:1", "[::ffff:192.0.2.1]:1", nil, true},
		"another of a host's":      {"[2001:db8::1]:1", "[2001:db8::2:3]:1", nil, true},
		"another of a customer's":  {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", nil, true},
		"another customer":         {"[2001:db8::1]:1", "[2001:db8:0:100::1]:1", nil, false},
		"another on the link":      {"[fe80::1%eth0]:1", "[fe80::2%eth0]:1", nil, false},
		"the gateway's own header": {"192.0.2.1:1", "192.0.2.1:2", []string{"kootask-peer", "192.0.2.9"}, true},
		"the same for the gateway": {"192.0.2.1:1", "192.0.2.1:2", []string{"grpc-metadata-kootask-peer", "192.0.2.9"}, true},
		"a proxy's header":         {"192.0.2.1:1", "192.0.2.1:2", []string{"x-forwarded-for", "192.0.2.9"}, true},
	} {
		for _, door := range doors {
			t.Run(name+"/"+door, func(t *testing.T) {
				bubble(t, func(c *server.Config) { c.Service.Quota.NewTasksPerPeer = 1 }, func(t *testing.T, s *system) {
					s.comeFrom(row.first)
					credential := func(i int) []string { return []string{"authorization", "Bearer " + fmt.Sprint("guess-", i)} }
					for i := range rates.Burst {
						if v := s.fail(t.Context(), t, door, call{id: taskID, header: credential(i)}); v.reason != "CREDENTIAL_REJECTED" {
							t.Fatalf("%+v", v)
						}
					}
					s.comeFrom(row.second)
					s.http.CloseIdleConnections()
					s.conn = s.dial(t)
					s.tasks = taskv1.NewTaskServiceClient(s.conn)
					start := time.Now()
					v := s.fail(t.Context(), t, door, call{id: taskID, header: append(credential(100), row.header...)})
					// A call is refused; a watch waits.
					if limited := v.reason == "CALLER_LIMIT_REACHED" || time.Since(start) > time.Second/2; limited != row.same {
						t.Errorf("%+v", v)
					}
				})
			})
		}
	}
}
