package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// steps is a script of one answer each.
func steps(statuses ...int64) (steps []koodrivetest.Step) {
	for _, s := range statuses {
		steps = append(steps, koodrivetest.Step{Status: s})
	}
	return steps
}

// names are the events of a stream: the statuses of its tasks without their prefix, and the names of its other events.
func names(t *testing.T, events []event) (all []string) {
	t.Helper()
	for _, e := range events {
		name := e.name
		if name == "task" {
			name = strings.TrimPrefix(e.status(t), "TASK_STATUS_")
		}
		if e.id != "" {
			name += " id:" + e.id
		}
		all = append(all, name)
	}
	return all
}

// states are the names of events without heartbeats, whose number depends on the times of polls.
func states(t *testing.T, events []event) []string {
	t.Helper()
	return slices.DeleteFunc(names(t, events), func(name string) bool { return name == "heartbeat" })
}

// forSurface is the end of a stream as a surface names it: server-sent events have an id there.
func forSurface(surface string, events ...string) []string {
	if surface == sse {
		for i, name := range events {
			if name == "SUCCESS" || name == "FAILED" {
				events[i] += " id:end"
			}
		}
	}
	return events
}

// everySurface watches a task on all surfaces at once.
func everySurface(t *testing.T, watch func(surface string)) {
	t.Helper()
	var all sync.WaitGroup
	for _, surface := range surfaces {
		all.Go(func() { watch(surface) })
	}
	all.Wait()
}

func TestEverySurfaceSeesTheScript(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(0, 0, 1, 2)})
		everySurface(t, func(surface string) {
			got := names(t, s.watch(t.Context(), t, surface, taskID))
			if want := forSurface(surface, "NEW", "EXECUTING", "SUCCESS", "end"); !slices.Equal(got, want) {
				t.Errorf("%s saw %q, want %q", surface, got, want)
			}
		})
		requests := s.koodrive.Requests()
		if len(requests) != 4 {
			t.Fatalf("KooDrive got %d requests", len(requests))
		}
		// At once, 1 s after a change, 1.5 s after none, 1 s after a change: ±20 %.
		for i, interval := range []time.Duration{time.Second, 1500 * time.Millisecond, time.Second} {
			got := requests[i+1].Received.Sub(requests[i].Received)
			if got < interval*8/10 || got > interval*12/10 {
				t.Errorf("interval %d is %v, want %v", i, got, interval)
			}
		}
	})
}

// A watch that joins later first gets the current state, whatever the others have seen.
func TestJoinersSeeTheCurrentTask(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{
			{Status: koodrivetest.StatusNew, For: 10 * time.Second}, {Status: koodrivetest.StatusExecuting, For: 30 * time.Second},
			{Status: koodrivetest.StatusSuccess},
		}})
		var first []event
		done := make(chan struct{})
		go func() {
			defer close(done)
			first = s.watch(t.Context(), t, "grpc", taskID)
		}()
		time.Sleep(25 * time.Second)
		before := s.koodrive.Count()
		everySurface(t, func(surface string) {
			events := s.watch(t.Context(), t, surface, taskID)
			if events[0].at != 0 || events[0].name != "task" {
				t.Errorf("%s: first came %+v", surface, events[0])
			}
			got := slices.DeleteFunc(names(t, events), func(n string) bool { return n == "heartbeat" })
			if want := forSurface(surface, "EXECUTING", "SUCCESS", "end"); !slices.Equal(got, want) {
				t.Errorf("%s saw %q, want %q", surface, got, want)
			}
		})
		<-done
		if got := names(t, first); !slices.Contains(got, "NEW") || got[len(got)-1] != "end" {
			t.Errorf("the first saw %q", got)
		}
		if s.koodrive.Count() == before {
			t.Error("the poller did not go on")
		}
		for _, r := range s.koodrive.Requests() {
			if r.InFlight != 1 {
				t.Errorf("%d requests at once", r.InFlight)
			}
		}
	})
}

func TestFinishedTaskIsOneMessage(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		everySurface(t, func(surface string) {
			got := names(t, s.watch(t.Context(), t, surface, exampleID))
			if want := forSurface(surface, "FAILED", "end"); !slices.Equal(got, want) {
				t.Errorf("%s saw %q, want %q", surface, got, want)
			}
		})
		time.Sleep(time.Hour)
		if n := s.koodrive.Count(); n != 1 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

func TestStepsBackAreHeld(t *testing.T) {
	for script, want := range map[*[]koodrivetest.Step][]string{
		new(steps(1, 0, 1, 2)):       {"EXECUTING", "SUCCESS", "end"},
		new(steps(0, 1, 0, 0, 1, 3)): {"NEW", "EXECUTING", "FAILED", "end"},
		new(steps(0, 2)):             {"NEW", "SUCCESS", "end"},
		new(steps(7, 0, 2)):          {"UNSPECIFIED", "SUCCESS", "end"},
		new(steps(1, 7, 1, 2)):       {"EXECUTING", "UNSPECIFIED", "EXECUTING", "SUCCESS", "end"},
	} {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: *script})
			everySurface(t, func(surface string) {
				got := states(t, s.watch(t.Context(), t, surface, taskID))
				if want := forSurface(surface, slices.Clone(want)...); !slices.Equal(got, want) {
					t.Errorf("%s saw %q, want %q", surface, got, want)
				}
			})
		})
	}
}

// 100 answers without a visible difference are one message.
func TestNoRepeats(t *testing.T) {
	patient := func(c *server.Config) { c.Service.WatchLifetime = 2 * time.Hour }
	bubble(t, patient, func(t *testing.T, s *system) {
		same := []koodrivetest.Step{{Status: 1}}
		for _, msg := range []string{"成功", "success.", "OK"} {
			same = append(same, koodrivetest.Step{Status: 1, Fault: koodrivetest.Answer(http.StatusOK,
				`{"taskId":"`+taskID+`","status":"1","taskType":null,"code":"0","msg":"`+msg+`","new":`+fmt.Sprint(len(msg))+`}`)})
		}
		for range 30 {
			same = append(same, same[:4]...)
		}
		same = append(same, koodrivetest.Step{Status: 2})
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: same})
		got := slices.DeleteFunc(names(t, s.watch(t.Context(), t, "grpc", taskID)), func(n string) bool { return n == "heartbeat" })
		if want := []string{"EXECUTING", "SUCCESS", "end"}; !slices.Equal(got, want) || s.koodrive.Count() < 100 {
			t.Errorf("saw %q in %d answers", got, s.koodrive.Count())
		}
	})
}

func TestFailedTaskAsError(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, door := range []string{"grpc get", "rest"} {
			v := s.fail(t.Context(), t, door, call{id: exampleID, header: bearer, asError: true})
			if v.code.String() != "Aborted" || v.reason != "TASK_FAILED" || v.http != 0 && v.http != http.StatusConflict ||
				v.metadata["taskId"] != exampleID || v.metadata["resultCode"] != "18000205" || len(v.metadata) != 2 {
				t.Errorf("%s: %+v", door, v)
			}
		}
		stream, err := s.tasks.WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: exampleID, FailedTaskAsError: true})
		if err != nil {
			t.Fatal(err)
		}
		if m, err := stream.Recv(); err != nil || m.GetTask().GetStatus() != taskv1.TaskStatus_TASK_STATUS_FAILED {
			t.Errorf("first: %v, %v", m, err)
		}
		if _, err := stream.Recv(); err == nil || !strings.Contains(err.Error(), "The task has failed.") {
			t.Errorf("then: %v", err)
		}
		for _, accept := range []string{ndjson, sse} {
			resp, err := s.http.Do(request(t.Context(), t, "/v1/tasks/"+exampleID+":watch?failedTaskAsError=true", "Accept", accept))
			if err != nil {
				t.Fatal(err)
			}
			var events []event
			parse(t, accept, resp.Body, func(e event) { events = append(events, e) })
			_ = resp.Body.Close()
			if len(events) != 2 || events[0].name != "task" || events[1].name != "failure" || !strings.Contains(events[1].data, `"TASK_FAILED"`) {
				t.Errorf("%s: %+v", accept, events)
			}
		}
	})
}

// After a rate limit without a Retry-After, requests are withheld for 60 s.
func TestRateLimitIsObeyed(t *testing.T) {
	for retryAfter, want := range map[string]time.Duration{"": time.Minute, "7": 7 * time.Second, "100": 100 * time.Second} {
		t.Run(fmt.Sprintf("Retry-After %q", retryAfter), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{
					{Status: 1}, {Fault: koodrivetest.Throttled(retryAfter)}, {Status: 2},
				}})
				s.watch(t.Context(), t, "grpc", taskID)
				r := s.koodrive.Requests()
				if waited := r[2].Received.Sub(r[1].Received); waited < want || waited > want*12/10 {
					t.Errorf("polled again after %v", waited)
				}
			})
		})
	}
}

func TestUnlistedNumbers(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for i, status := range []int64{-1, 4, 77, 2147483647} {
			id := fmt.Sprint(i)
			s.koodrive.SetTask(koodrivetest.Task{ID: id, Type: new(int64(9)), Steps: []koodrivetest.Step{{Status: status, ResultCode: "18000999"}}})
			_, body := s.get(t, request(t.Context(), t, "/v1/tasks/"+id))
			for _, want := range []string{
				`"status":"TASK_STATUS_UNSPECIFIED"`, `"taskType":"TASK_TYPE_UNSPECIFIED"`, `"resultCode":"RESULT_CODE_UNSPECIFIED"`,
				fmt.Sprintf(`"koodriveStatus":%d`, status), `"koodriveTaskType":9`, `"koodriveResultCode":"18000999"`, `"done":false`,
			} {
				if !strings.Contains(strings.ReplaceAll(body, `": `, `":`), want) {
					t.Errorf("status %d: %s lacks %s", status, body, want)
				}
			}
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 2147483648}}})
		if v := s.fail(t.Context(), t, "grpc get", call{id: taskID, header: bearer}); v.reason != "UPSTREAM_CONTRACT_VIOLATION" {
			t.Errorf("%+v", v)
		}
	})
}
