package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// steps is a script of one answer each.
func steps(statuses ...int64) (steps []koodrivetest.Step) {
	for _, s := range statuses {
		steps = append(steps, koodrivetest.Step{Status: s})
	}
	return steps
}

// names is what a stream said: the statuses of its tasks without their prefix, and the names of its other events.
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

// forSurface is what a surface says where the others say events: server-sent ones have an id at the end.
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
			t.Fatalf("KooDrive was asked %d times", len(requests))
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

// A watch that joins later sees the task as it stands first, whatever the others have seen.
func TestJoinersSeeTheTaskAsItStands(t *testing.T) {
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
			t.Errorf("KooDrive was asked %d times", n)
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
				got := names(t, s.watch(t.Context(), t, surface, taskID))
				if want := forSurface(surface, slices.Clone(want)...); !slices.Equal(got, want) {
					t.Errorf("%s saw %q, want %q", surface, got, want)
				}
			})
		})
	}
}

// 100 answers that differ in nothing a watcher can see are one message.
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

// While KooDrive hangs, the stream opens in time, and heartbeats tell.
func TestHangingKooDriveIsTold(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetFault(&koodrivetest.Fault{Hang: true})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var events []event
		s.followGRPC(ctx, taskID, func(e event) { events = append(events, e) })
		if first := events[0]; first.name != "heartbeat" || first.at != 2*time.Second || first.beat.GetObserveTime() != nil {
			t.Errorf("first came %+v", first)
		}
		failures := int32(0)
		for i, e := range events[1 : len(events)-1] {
			if e.name != "heartbeat" || e.at-events[i].at != 15*time.Second {
				t.Fatalf("event %d: %+v", i+1, e)
			}
			if e.beat.GetFailureCount() < failures || e.beat.GetObserveTime() != nil {
				t.Errorf("event %d: %v", i+1, e.beat)
			}
			if failures = e.beat.GetFailureCount(); failures > 0 && e.beat.GetFailureReason() != "UPSTREAM_TIMEOUT" {
				t.Errorf("event %d: %v", i+1, e.beat)
			}
		}
		if failures < 4 || len(events) < 19 {
			t.Errorf("%d events, %d failures", len(events), failures)
		}
	})
}

// Over HTTP nothing leaves before the first message either: neither an early 200, nor later than 2 s.
func TestHeadersLeaveWithTheFirstMessage(t *testing.T) {
	for _, row := range []struct {
		latency, header time.Duration
		status          int
		first           string
	}{
		{0, 0, http.StatusOK, "task"},
		{time.Second, time.Second, http.StatusOK, "task"},
		{time.Minute, 2 * time.Second, http.StatusOK, "heartbeat"},
		{1900 * time.Millisecond, 1900 * time.Millisecond, http.StatusUnauthorized, ""},
		{2100 * time.Millisecond, 2 * time.Second, http.StatusOK, "heartbeat"},
	} {
		for _, accept := range []string{ndjson, sse} {
			bubble(t, nil, func(t *testing.T, s *system) {
				fault := &koodrivetest.Fault{Latency: row.latency}
				if row.latency%time.Second != 0 {
					fault.Status = http.StatusUnauthorized
				}
				s.koodrive.SetFault(fault)
				start := time.Now()
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				resp, err := s.http.Do(request(ctx, t, "/v1/tasks/"+exampleID+":watch", "Accept", accept))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if took := time.Since(start); took != row.header || resp.StatusCode != row.status {
					t.Errorf("%s after %v: HTTP %d after %v, want %d after %v", accept, row.latency, resp.StatusCode, took, row.status, row.header)
				}
				first, _ := bufio.NewReader(resp.Body).ReadString('\n')
				if took := time.Since(start); took != row.header || !strings.Contains(first, row.first) {
					t.Errorf("%s after %v: first came %q after %v", accept, row.latency, first, took)
				}
			})
		}
	}
}

// KooDrive's first answer and the first heartbeat fall into the same moment: the answer goes first, whatever it is.
func TestAnswerThatTiesWithTheHeartbeat(t *testing.T) {
	for range 20 {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetFault(&koodrivetest.Fault{Latency: service.FirstMessage})
			everySurface(t, func(surface string) {
				got := slices.DeleteFunc(names(t, s.watch(t.Context(), t, surface, exampleID)), func(n string) bool { return n == "heartbeat" })
				if want := forSurface(surface, "FAILED", "end"); !slices.Equal(got, want) {
					t.Errorf("%s saw %q, want %q", surface, got, want)
				}
			})
		})
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetFault(&koodrivetest.Fault{Latency: service.FirstMessage, Status: 503})
			ctx, leave := context.WithTimeout(t.Context(), 3*time.Second)
			defer leave()
			s.followGRPC(ctx, exampleID, func(e event) {
				if e.beat.GetFailureCount() > 0 {
					t.Errorf("an error at the last moment became %v", e.beat)
				}
			})
		})
	}
}

// After a rate limit KooDrive is left alone for a minute, if it does not say for how long.
func TestRateLimitIsHeeded(t *testing.T) {
	for retryAfter, want := range map[string]time.Duration{"": time.Minute, "7": 7 * time.Second, "100": 100 * time.Second} {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{
				{Status: 1}, {Fault: koodrivetest.Throttled(retryAfter)}, {Status: 2},
			}})
			s.watch(t.Context(), t, "grpc", taskID)
			r := s.koodrive.Requests()
			if waited := r[2].Received.Sub(r[1].Received); waited < want || waited > want*12/10 {
				t.Errorf("Retry-After %q: asked again after %v", retryAfter, waited)
			}
		})
	}
}

// KooDrive stops answering under a watch: heartbeats go on, what they claim stands still until it answers again.
func TestHeartbeatsClaimNoMoreThanIsKnown(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		start := time.Now()
		time.AfterFunc(2*time.Minute, func() { s.koodrive.SetFault(koodrivetest.Answer(http.StatusBadGateway, "")) })
		time.AfterFunc(5*time.Minute, func() { s.koodrive.SetFault(nil) })
		var events []event
		s.followGRPC(ctx, taskID, func(e event) { events = append(events, e) })
		var phases []string
		for _, e := range events[1 : len(events)-1] {
			if e.name != "heartbeat" {
				t.Fatalf("event %+v", e)
			}
			age := e.at - e.beat.GetObserveTime().AsTime().Sub(start)
			phase := "well"
			if e.beat.GetFailureCount() > 0 {
				phase = e.beat.GetFailureReason()
			}
			if phase == "well" && age > 20*time.Second || phase != "well" && e.beat.GetObserveTime().AsTime().Sub(start) > 2*time.Minute {
				t.Errorf("at %v: %v", e.at, e.beat)
			}
			if len(phases) == 0 || phases[len(phases)-1] != phase {
				phases = append(phases, phase)
			}
		}
		if want := []string{"well", "UPSTREAM_UNAVAILABLE", "well"}; !slices.Equal(phases, want) {
			t.Errorf("phases %q, want %q", phases, want)
		}
	})
}

// A step back is an answer, but confirms nothing.
func TestHeartbeatsDuringAStepBack(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1, 0)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var events []event
		s.followGRPC(ctx, taskID, func(e event) { events = append(events, e) })
		for _, e := range events[1 : len(events)-1] {
			if e.name != "heartbeat" || !e.beat.GetObserveTime().AsTime().Equal(events[0].task.GetObserveTime().AsTime()) || e.beat.GetFailureCount() != 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}

// The first verdict is the call's; after it, what passes is survived and what lasts ends the watch.
func TestFailuresBeforeAndAfterTheFirstMessage(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{
			{Status: 1}, {Fault: koodrivetest.Answer(502, "")}, {Fault: koodrivetest.Throttled("30")}, {Status: 2},
		}})
		got := names(t, s.watch(t.Context(), t, ndjson, taskID))
		if want := []string{"EXECUTING", "heartbeat", "heartbeat", "SUCCESS", "end"}; !slices.Equal(got, want) {
			t.Errorf("saw %q, want %q", got, want)
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: "9", Steps: []koodrivetest.Step{{Status: 1}, {Fault: koodrivetest.Answer(401, "")}}})
		everySurface(t, func(surface string) {
			events := s.watch(t.Context(), t, surface, "9")
			if got, want := names(t, events), []string{"EXECUTING", "failure"}; !slices.Equal(got, want) {
				t.Errorf("%s saw %q, want %q", surface, got, want)
			}
			last := events[len(events)-1]
			if text := last.data + fmt.Sprint(last.err); !strings.Contains(text, "KooDrive refuses the credential") {
				t.Errorf("%s ended with %s", surface, text)
			}
		})
	})
}

// A watch that comes while KooDrive fails gets the failure at once, although another one lives on with heartbeats.
func TestJoinerOfAFailingPollerGetsTheFailure(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{
			{Fault: &koodrivetest.Fault{Latency: 3 * time.Second, Status: 503}, For: time.Minute}, {Status: 2},
		}})
		var patient []event
		done := make(chan struct{})
		go func() {
			defer close(done)
			patient = s.watch(t.Context(), t, sse, taskID)
		}()
		time.Sleep(4 * time.Second)
		everySurface(t, func(surface string) {
			events := s.watch(t.Context(), t, surface, taskID)
			if len(events) != 1 || events[0].name != "failure" || events[0].at != 0 {
				t.Errorf("%s: %+v", surface, events)
			}
		})
		<-done
		if got := names(t, patient); got[0] != "heartbeat" || got[len(got)-1] != "end" {
			t.Errorf("the patient one saw %q", got)
		}
	})
}

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

// A thousand watchers of one task cost KooDrive what one costs, and nothing once they have left.
func TestWatchersAreFree(t *testing.T) {
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
	// 0, 1, 2.5, … and then every 15 s: 46 polls, each interval a fifth shorter or longer.
	for watchers, n := range map[int]int{1: cost(1), 1000: cost(1000)} {
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

// One client never reads, and its window fills. The others see every state when it is published.
func TestSilentReaderDelaysNobody(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		const flips = 100
		long := strings.Repeat("x", 8<<10)
		var script []koodrivetest.Step
		for i := range flips {
			script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, long)})
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: append(script, koodrivetest.Step{Status: 2})})
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		silent := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10)))
		if _, err := silent.WatchTask(as(ctx, token), &taskv1.WatchTaskRequest{TaskId: taskID}); err != nil {
			t.Fatal(err)
		}
		resp, err := s.http.Do(request(ctx, t, "/v1/tasks/"+taskID+":watch"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() // Never read.
		start := time.Now()
		everySurface(t, func(surface string) {
			events := s.watch(t.Context(), t, surface, taskID)
			if len(events) != flips+2 {
				t.Errorf("%s saw %d events", surface, len(events))
			}
			published := s.koodrive.Requests()
			for i, e := range events[:min(len(events), flips)] {
				if want := published[i].Ended.Sub(start); e.at != want {
					t.Fatalf("%s saw state %d at %v, it was published at %v", surface, i, e.at, want)
				}
			}
		})
	})
}

// Whoever leaves is noticed, on every surface: the request that is under way ends.
func TestLeavingEndsTheRequest(t *testing.T) {
	for _, surface := range surfaces {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetFault(&koodrivetest.Fault{Hang: true})
			ctx, leave := context.WithTimeout(t.Context(), 5*time.Second)
			defer leave()
			s.follow(ctx, t, surface, taskID, func(event) {})
			time.Sleep(100 * time.Millisecond)
			if r := s.koodrive.Requests()[0]; r.Ended.IsZero() || s.koodrive.Count() != 1 {
				t.Errorf("%s: %d requests, the first ended %v", surface, s.koodrive.Count(), r.Ended)
			}
		})
	}
}

// KooDrive's session slides with each call: it dies as soon as nobody watches any more.
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

// A client of the HTTP port that does not read is cut off 30 s after its connection has filled up; one that reads is not,
// however long it watches.
func TestSilentHTTPReaderIsCutOff(t *testing.T) {
	for _, accept := range []string{ndjson, sse} {
		bubble(t, nil, func(t *testing.T, s *system) {
			long := strings.Repeat("x", 8<<10)
			var script []koodrivetest.Step
			for i := range 100 {
				script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, long)})
			}
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: append(script, koodrivetest.Step{Status: 2})})
			resp, err := s.http.Do(request(t.Context(), t, "/v1/tasks/"+taskID+":watch", "Accept", accept))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := names(t, s.watch(t.Context(), t, accept, taskID)); got[len(got)-1] != "end" {
				t.Errorf("the one who reads saw %q", got)
			}
			time.Sleep(time.Minute)
			if lines := strings.Count(s.log.String(), `"code":"Canceled"`); lines != 1 {
				t.Errorf("%d streams were cut off:\n%s", lines, s.log)
			}
		})
	}
}
