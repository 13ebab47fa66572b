package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestGetTaskSharesWithAWatchAndIsFresh(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(0, 1)})
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		go s.followGRPC(ctx, taskID, func(event) {})
		synctest.Wait()
		resp, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID})
		if err != nil || resp.GetTask().GetStatus() != taskv1.TaskStatus_TASK_STATUS_EXECUTING {
			t.Errorf("a watch holds NEW, and GetTask got %v, %v", resp, err)
		}
		s.koodrive.SetFault(&koodrivetest.Fault{Latency: time.Second})
		time.Sleep(900 * time.Millisecond) // The watch's next poll is at 0.8 to 1.2 s.
		var all sync.WaitGroup
		before := s.koodrive.Count()
		for range 900 { // A connection has room for 1,000.
			all.Go(func() {
				if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := s.koodrive.Count() - before; n > 1 {
			t.Errorf("900 calls and a watch made %d requests", n)
		}
	})
}

func TestErrorsAreNotRemembered(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.fail(t.Context(), t, "rest", call{id: taskID, header: bearer, query: "?maxAge=60s"})
		s.fail(t.Context(), t, "rest", call{id: taskID, header: bearer, query: "?maxAge=60s"})
		for _, door := range doors {
			s.fail(t.Context(), t, door, call{id: taskID, header: bearer})
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID})
		if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
			t.Error(err)
		}
	})
}

// A thousand watchers of one task cost KooDrive as much as one, and nothing once they have left.
func TestWatchersAreFree(t *testing.T) {
	t.Parallel()
	const watched = 10 * time.Minute
	cost := func(watchers int) (requests int) {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
			ctx, leave := context.WithTimeout(t.Context(), watched)
			defer leave()
			var all sync.WaitGroup
			for i := range watchers {
				all.Go(func() { s.follow(ctx, t, surfaces[i%3], taskID, func(event) {}) })
			}
			all.Wait()
			requests = s.koodrive.Count()
			time.Sleep(time.Second)
			if n := s.koodrive.Count(); n != requests {
				t.Errorf("%d requests in the second after the last watcher has left", n-requests)
			}
			time.Sleep(time.Hour)
			if n := s.koodrive.Count(); n != requests {
				t.Errorf("%d requests in the hour after the last watcher has left", n-requests)
			}
			for _, r := range s.koodrive.Requests() {
				if r.InFlight != 1 {
					t.Fatalf("%d requests at once", r.InFlight)
				}
			}
		})
		return requests
	}
	// 0, 1, 2.5, … and then every 15 s: 46 polls, each interval jittered by ±20 %.
	for watchers, n := range map[int]int{1: cost(1), 300: cost(300)} {
		if n < 40 || n > 55 {
			t.Errorf("%d watchers cost %d requests", watchers, n)
		}
	}
}

// Twenty credentials for one task are twenty pollers, and see nothing of each other.
func TestCredentialsShareNothing(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
		ctx, leave := context.WithTimeout(t.Context(), time.Minute/2)
		defer leave()
		var all sync.WaitGroup
		for i := range 20 {
			own := fmt.Sprintf("token-%d", i)
			s.koodrive.AddToken(own, 0)
			for range 5 {
				all.Go(func() {
					stream, err := s.tasks.WatchTask(as(ctx, own), &taskv1.WatchTaskRequest{TaskId: taskID})
					for err == nil {
						_, err = stream.Recv()
					}
				})
			}
		}
		all.Wait()
		asked := map[string]int{}
		for _, r := range s.koodrive.Requests() {
			asked[r.Header.Get("Authorization")]++
		}
		if len(asked) != 20 {
			t.Errorf("KooDrive saw %d credentials", len(asked))
		}
		for who, n := range asked {
			if n < 5 || n > 9 {
				t.Errorf("%s cost %d requests", who, n)
			}
		}
	})
}

// A caller's answer is shown only to callers with the same credential: neither the cache nor a running watch gives it to others.
func TestMemoryIsTheCallersOwn(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		go s.followGRPC(ctx, taskID, func(event) {})
		for _, id := range []string{exampleID, taskID} { // The first one is finished.
			if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: id}); err != nil {
				t.Fatal(err)
			}
			stranger := call{id: id, header: []string{"authorization", "Bearer stranger"}}
			for _, door := range doors {
				if v := s.fail(t.Context(), t, door, stranger); v.reason != "CREDENTIAL_REJECTED" {
					t.Errorf("%s: %+v", door, v)
				}
			}
			stranger.query = "?maxAge=60s"
			if v := s.fail(t.Context(), t, "rest", stranger); v.reason != "CREDENTIAL_REJECTED" {
				t.Errorf("with maxAge: %+v", v)
			}
		}
	})
}

// A client that leaves is noticed on every surface: the request in flight ends.
func TestLeavingEndsTheRequest(t *testing.T) {
	for _, surface := range surfaces {
		t.Run(surface, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetFault(&koodrivetest.Fault{Hang: true})
				ctx, leave := context.WithTimeout(t.Context(), 5*time.Second)
				defer leave()
				s.follow(ctx, t, surface, taskID, func(event) {})
				time.Sleep(100 * time.Millisecond)
				if r := s.koodrive.Requests()[0]; r.Ended.IsZero() || s.koodrive.Count() != 1 {
					t.Errorf("%d requests, the first ended %v", s.koodrive.Count(), r.Ended)
				}
			})
		})
	}
}

// Each call prolongs KooDrive's session, which must expire once nobody watches any more.
func TestSessionDiesWithTheLastWatcher(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.AddToken(token, 20*time.Minute)
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		ctx, leave := context.WithTimeout(t.Context(), time.Hour)
		defer leave()
		s.follow(ctx, t, "grpc", taskID, func(event) {})
		if r := s.koodrive.Requests(); r[len(r)-1].Refused != "" {
			t.Error("the session died under a watch")
		}
		time.Sleep(20 * time.Minute)
		if v := s.fail(t.Context(), t, "rest", call{id: taskID, header: bearer}); v.reason != "CREDENTIAL_REJECTED" {
			t.Errorf("the session lives on: %+v", v)
		}
	})
}
