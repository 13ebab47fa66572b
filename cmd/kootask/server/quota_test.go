package server_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A caller whose calls all fail uses up its own retries, not another caller's.
func TestRetriesAreTheCallers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.AddToken("other", 0)
		s.koodrive.SetTask(koodrivetest.Task{ID: "bad", Steps: []koodrivetest.Step{{Fault: koodrivetest.Answer(502, "")}}})
		for _, credential := range []string{token, "other"} {
			if _, err := s.tasks.GetTask(as(t.Context(), credential), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
				t.Fatal(err)
			}
		}
		for range 50 {
			s.fail(t.Context(), t, "grpc get", call{id: "bad", header: bearer})
			time.Sleep(2 * time.Second)
		}
		if n := s.koodrive.Count() - 2; n != 60 {
			t.Errorf("50 calls made %d requests, want one retry for each of ten", n)
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Fault: koodrivetest.Answer(502, "")}, {Status: 1}}})
		if _, err := s.tasks.GetTask(as(t.Context(), "other"), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
			t.Errorf("another caller's call is not retried: %v", err)
		}
	})
}

// Where each user of an app has a rate of its own, a user that loops gets an error, its watches are polled more slowly, and other
// users notice nothing.
func TestUsersOfAnAppHaveARate(t *testing.T) {
	const rate = 2
	config := func(c *server.Config) {
		appMode("s3cr3t")(c)
		c.Service.Quota.AppRequestsPerUser = rate
	}
	bubble(t, config, func(t *testing.T, s *system) {
		n := newNeighbourhood(s, true)
		watch := n.as(t.Context(), "loop")
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1, For: 2 * time.Minute}, {Status: 2}}})
		stream, err := s.tasks.WatchTask(watch, &taskv1.WatchTaskRequest{TaskId: taskID})
		if err != nil {
			t.Fatal(err)
		}
		before := s.koodrive.Count()
		ctx, leave := context.WithTimeout(t.Context(), time.Minute)
		defer leave()
		var told atomic.Pointer[status.Status]
		var loops sync.WaitGroup
		for i := range 10 {
			loops.Go(func() {
				for ctx.Err() == nil {
					request := &taskv1.GetTaskRequest{TaskId: fmt.Sprint("bad-", i), MaxAge: noAge}
					if _, err := s.tasks.GetTask(n.as(t.Context(), "loop"), request); err != nil {
						told.Store(status.Convert(err))
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		loops.Wait()
		if asked := s.koodrive.Count() - before; asked < 30*rate || asked > 70*rate+10 {
			t.Errorf("the user that loops has caused %d requests in a minute", asked)
		}
		if name, retry := reason.Read(told.Load()); name != "CALLER_LIMIT_REACHED" || retry == nil {
			t.Errorf("over its rate, the user is told %v", told.Load())
		}
		if err := n.get(t.Context(), t, "grpc", 5); err != nil {
			t.Errorf("another user: %v", err)
		}
		if s.scrape(t)[`kootask_limit_reached_total{limit="app-rps-per-user"}`] == 0 {
			t.Error("the metric does not count it")
		}
		for {
			message, err := stream.Recv()
			if err != nil {
				t.Fatalf("the watch ended with %v", err)
			}
			if message.GetTask().GetDone() {
				return
			}
		}
	})
}
