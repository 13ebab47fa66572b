package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// While KooDrive hangs, the stream opens in time, and heartbeats report it.
func TestHangingKooDriveIsReported(t *testing.T) {
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
			if e.name != "heartbeat" || e.at-events[i].at != service.DefaultHeartbeat {
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

// Over HTTP the headers are sent with the first message, within 2 s: there is no early 200.
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
			t.Run(fmt.Sprintf("%v/%s", row.latency, accept), func(t *testing.T) {
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
						t.Errorf("HTTP %d after %v, want %d after %v", resp.StatusCode, took, row.status, row.header)
					}
					first, _ := bufio.NewReader(resp.Body).ReadString('\n')
					if took := time.Since(start); took != row.header || !strings.Contains(first, row.first) {
						t.Errorf("first came %q after %v", first, took)
					}
				})
			})
		}
	}
}

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

// If KooDrive stops answering during a watch, heartbeats continue, and their observe_time stands still until KooDrive answers
// again.
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
			if failing := e.beat.GetFailingTaskIds(); phase == "well" && len(failing) > 0 || phase != "well" && !slices.Equal(failing, []string{taskID}) {
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

// The first failure is the call's own. Later, a watch survives transient failures and ends with lasting ones.
func TestFailuresBeforeAndAfterTheFirstMessage(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{
			{Status: 1}, {Fault: koodrivetest.Answer(502, "")}, {Fault: koodrivetest.Throttled("30")}, {Status: 2},
		}})
		got := states(t, s.watch(t.Context(), t, ndjson, taskID))
		if want := []string{"EXECUTING", "SUCCESS", "end"}; !slices.Equal(got, want) {
			t.Errorf("saw %q, want %q", got, want)
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: "9", Steps: []koodrivetest.Step{{Status: 1}, {Fault: koodrivetest.Answer(401, "")}}})
		everySurface(t, func(surface string) {
			events := s.watch(t.Context(), t, surface, "9")
			if got, want := names(t, events), []string{"EXECUTING", "failure"}; !slices.Equal(got, want) {
				t.Errorf("%s saw %q, want %q", surface, got, want)
			}
			last := events[len(events)-1]
			if text := last.data + fmt.Sprint(last.err); !strings.Contains(text, "KooDrive rejected the credential") {
				t.Errorf("%s ended with %s", surface, text)
			}
		})
	})
}

// A watch that joins while KooDrive fails gets the failure at once, although an earlier one lives on with heartbeats.
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
