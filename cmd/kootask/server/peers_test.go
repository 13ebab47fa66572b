package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

const guess = "guess-%d-%d"

// guessing asks for a task with as many made-up credentials as it can in a while, and returns how many it has tried.
func (s *system) guessing(t *testing.T, door string, who int, while time.Duration) (tried int) {
	t.Helper()
	for start := time.Now(); time.Since(start) < while; tried++ {
		v := s.fail(t.Context(), t, door, call{id: taskID, header: []string{"authorization", "Bearer " + fmt.Sprintf(guess, who, tried)}})
		switch {
		case v.reason == "CREDENTIAL_REJECTED":
		case v.code == codes.ResourceExhausted && v.reason == "CALLER_LIMIT_REACHED" && v.retry != nil &&
			v.metadata["limitName"] == "new-tasks-per-peer" && v.metadata["limitValue"] == "20":
		default:
			t.Fatalf("%s: %+v", door, v)
		}
		<-time.After(5 * time.Millisecond)
	}
	return tried
}

func defaultPeers(c *server.Config) { c.Service.NewTasksPerPeer, c.Upstream.PerSecond = 0, 10_000 }

// Who makes credentials up gets 200 tries at once and 20 a second, over all doors together; what KooDrive is being asked
// for already is free, and others have what is theirs.
func TestNewTasksOfOnePeerAreLimited(t *testing.T) {
	bubble(t, defaultPeers, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		ctx, leave := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		watching.Go(func() { s.follow(ctx, t, ndjson, taskID, func(event) {}) })
		time.Sleep(time.Second)

		const while = 20 * time.Second
		var all sync.WaitGroup
		for i, door := range doors {
			all.Go(func() {
				if tried := s.guessing(t, door, i, while); tried < 3000 {
					t.Errorf("%s: tried %d times", door, tried)
				}
			})
		}
		all.Go(func() { // From the same address, with a good credential.
			time.Sleep(while / 2)
			joined, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if events := s.watch(joined, t, "grpc", taskID); len(events) == 0 || events[0].name != "task" {
				t.Errorf("a task that is watched: %+v", events)
			}
			if _, err := s.tasks.GetTask(as(ctx, token), &taskv1.GetTaskRequest{TaskId: taskID, MaxAge: noAge}); err != nil {
				t.Errorf("a task that is watched: %v", err)
			}
		})
		all.Go(func() { // From another one.
			time.Sleep(while / 2)
			s.comeFrom("192.0.2.2:1000")
			honest := taskv1.NewTaskServiceClient(s.dial(t))
			if _, err := honest.GetTask(as(ctx, token), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
				t.Errorf("from another address: %v", err)
			}
		})
		all.Wait()
		most := service.DefaultNewTasksPerPeer*int(while/time.Second) + service.PeerBurst*service.DefaultNewTasksPerPeer
		if n := s.koodrive.Count(); n < most-20 || n > most+20 { // The others', and what comes in the first and the last second.
			t.Errorf("KooDrive was asked %d times, want about %d", n, most)
		}
		leave()
		watching.Wait()
		time.Sleep(service.PeerBurst * time.Second)
		before := s.koodrive.Count()
		for i := range 2 * service.PeerBurst * service.DefaultNewTasksPerPeer {
			s.fail(t.Context(), t, "rest", call{id: taskID, header: []string{"authorization", "Bearer " + fmt.Sprintf(guess, 9, i)}})
		}
		if n := s.koodrive.Count() - before; n != service.PeerBurst*service.DefaultNewTasksPerPeer {
			t.Errorf("after a rest KooDrive was asked %d times at once", n)
		}
	})
}

// A peer is an address of the network, which no request can make up, with all of its ports, and all of a host's addresses.
func TestPeers(t *testing.T) {
	for name, row := range map[string]struct {
		first, second string
		header        []string // Of the second.
		same          bool
	}{
		"another port":              {"192.0.2.1:1", "192.0.2.1:2", nil, true},
		"another address":           {"192.0.2.1:1", "192.0.2.2:1", nil, false},
		"IPv4 in IPv6":              {"192.0.2.1:1", "[::ffff:192.0.2.1]:1", nil, true},
		"another of a host's":       {"[2001:db8::1]:1", "[2001:db8::2:3]:1", nil, true},
		"another network":           {"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", nil, false},
		"the gateway's own header":  {"192.0.2.1:1", "192.0.2.1:2", []string{"kootask-peer", "192.0.2.9"}, true},
		"the same for the gateway":  {"192.0.2.1:1", "192.0.2.1:2", []string{"grpc-metadata-kootask-peer", "192.0.2.9"}, true},
		"what a proxy says of many": {"192.0.2.1:1", "192.0.2.1:2", []string{"x-forwarded-for", "192.0.2.9"}, true},
	} {
		for _, door := range doors {
			bubble(t, func(c *server.Config) { c.Service.NewTasksPerPeer = 1 }, func(t *testing.T, s *system) {
				s.comeFrom(row.first)
				credential := func(i int) []string { return []string{"authorization", "Bearer " + fmt.Sprint("guess-", i)} }
				for i := range service.PeerBurst {
					if v := s.fail(t.Context(), t, door, call{id: taskID, header: credential(i)}); v.reason != "CREDENTIAL_REJECTED" {
						t.Fatalf("%s, %s: %+v", name, door, v)
					}
				}
				s.comeFrom(row.second)
				s.http.CloseIdleConnections()
				s.conn = s.dial(t)
				s.tasks = taskv1.NewTaskServiceClient(s.conn)
				v := s.fail(t.Context(), t, door, call{id: taskID, header: append(credential(100), row.header...)})
				if limited := v.reason == "CALLER_LIMIT_REACHED"; limited != row.same {
					t.Errorf("%s, %s: %+v", name, door, v)
				}
			})
		}
	}
}
