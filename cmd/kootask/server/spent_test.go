package server_test

import (
	"encoding/json"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// timedLine is a log line with durations. Absent ones are nil.
type timedLine struct {
	Msg, Method, Outcome, Error string
	Seconds                     float64
	TaskID                      string   `json:"task_id"`
	RequestID                   string   `json:"request_id"`
	TraceID                     string   `json:"trace_id"`
	Wait                        *float64 `json:"wait_seconds"`
	KooDrive                    *float64 `json:"koodrive_seconds"`
}

func (s *system) timedLines(t *testing.T) (all []timedLine) {
	t.Helper()
	for text := range strings.Lines(s.log.String()) {
		var l timedLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		all = append(all, l)
	}
	return all
}

// The line of a GetTask has the time in the queue and the time of KooDrive; the rest is kootask's own. The line of a watch does
// not, since its requests are many and shared.
func TestCallLinesSplitTheirTime(t *testing.T) {
	bubble(t, func(c *server.Config) { c.Upstream.AtOnce = 1 }, func(t *testing.T, s *system) {
		late := func(id string, latency time.Duration, more ...koodrivetest.Step) {
			s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: append(more, koodrivetest.Step{
				Status: koodrivetest.StatusSuccess, Fault: &koodrivetest.Fault{Latency: latency},
			})})
		}
		late("slow", 600*time.Millisecond)
		late("next", 300*time.Millisecond)
		late("retried", 200*time.Millisecond, koodrivetest.Step{Fault: &koodrivetest.Fault{Status: 502, Latency: 100 * time.Millisecond}})
		late("hangs", 2*time.Second)
		var calls sync.WaitGroup
		call := func(name, id string) {
			calls.Go(func() {
				_, _ = s.tasks.GetTask(as(t.Context(), token, "x-request-id", name), &taskv1.GetTaskRequest{TaskId: id})
			})
		}
		call("first", "slow")
		time.Sleep(100 * time.Millisecond)
		call("second", "next")
		time.Sleep(100 * time.Millisecond)
		call("joins-a-request", "slow")
		call("joins-the-queue", "next")
		calls.Wait()
		call("memory", "slow")
		call("invalid", "list")
		call("retry", "retried")
		calls.Wait()
		call("longest", "hangs")
		time.Sleep(time.Millisecond)
		call("no-turn", "no-turn")
		calls.Wait()
		s.watch(t.Context(), t, "grpc", "next")
		got := map[string]timedLine{}
		for _, l := range s.timedLines(t) {
			if l.Msg == "call" {
				got[l.RequestID] = l
			}
			if isWatch := l.Method == taskv1.TaskService_WatchTask_FullMethodName; l.Msg == "call" && isWatch != (l.Wait == nil) {
				t.Errorf("%+v", l)
			}
		}
		for name, want := range map[string]struct{ seconds, wait, koodrive float64 }{
			"first": {.6, 0, .6}, "second": {.8, .5, .3}, "joins-a-request": {.4, 0, .4}, "joins-the-queue": {.7, .4, .3},
			"memory": {0, 0, 0}, "invalid": {0, 0, 0}, "retry": {-1, 0, .3}, "longest": {2, 0, 2}, "no-turn": {1, 1, 0},
		} {
			l, found := got[name]
			if !found || l.Wait == nil || l.KooDrive == nil {
				t.Errorf("%s: %+v", name, l)
				continue
			}
			if want.seconds < 0 { // It pauses for a random time.
				if rest := l.Seconds - *l.Wait - *l.KooDrive; rest < .09 || rest > .31 {
					t.Errorf("%s: %v s of rest", name, rest)
				}
				want.seconds = l.Seconds
			}
			near := func(a, b float64) bool { return math.Abs(a-b) < .001 }
			if !near(l.Seconds, want.seconds) || !near(*l.Wait, want.wait) || !near(*l.KooDrive, want.koodrive) {
				t.Errorf("%s: %v s, %v s of them waiting, %v s KooDrive; want %v", name, l.Seconds, *l.Wait, *l.KooDrive, want)
			}
		}
	})
}

// The log describes an unexpected answer by the names and types of its fields: once with the call or watch that it ends, and at
// debug level for each request. Callers see nothing of it.
func TestAnswersThatDoNotFitAreLogged(t *testing.T) {
	for text, want := range map[string]string{
		`{"code":0,"taskId":"` + taskID + `","state":"RUNNING","` + canary + `":{}}`: "status is missing or not a 32-bit integer; fields: code:number taskId:string state:string …:object",
		`[{"code":0}]`:     "; type: array",
		`"` + canary + `"`: "; type: string",
		`{"code":0}{}`:     "malformed: it cannot be parsed; fields: code:number",
		`<html>`:           "malformed: it cannot be parsed",
	} {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetFault(body(http.StatusOK, text))
			for _, door := range doors {
				before := s.calls()
				v := s.fail(t.Context(), t, door, call{id: taskID, header: bearer})
				synctest.Wait()
				if lines := strings.TrimPrefix(s.calls(), before); strings.Count(lines, want+`"`) != 1 {
					t.Errorf("%s: want one line with %q:\n%s", door, want, lines)
				}
				if strings.Contains(v.everything, "fields") || strings.Contains(v.everything, "taskId:") {
					t.Errorf("%s: the caller sees %s", door, v.everything)
				}
			}
			for _, l := range s.timedLines(t) {
				if l.Msg == "koodrive request" && !strings.HasSuffix(l.Error, want) {
					t.Errorf("%+v, want %q", l, want)
				}
			}
		})
	}
}

// At debug level each request to KooDrive has a line, with its trace id and without a credential.
func TestRequestsToKooDriveAreLogged(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: append(faults(body(502, "")), steps(0, 1, 2)...)})
		s.watch(t.Context(), t, ndjson, taskID)
		_, err := s.tasks.GetTask(as(t.Context(), token, "traceparent", "00-"+trace+"-00f067aa0ba902b7-01"), &taskv1.GetTaskRequest{TaskId: exampleID})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var lines []timedLine
		for _, l := range s.timedLines(t) {
			if l.Msg == "koodrive request" {
				lines = append(lines, l)
			}
		}
		requests := s.koodrive.Requests()
		if len(lines) != len(requests) || len(lines) < 4 {
			t.Fatalf("%d lines of %d requests", len(lines), len(requests))
		}
		for i, l := range lines {
			outcome := "OK"
			if requests[i].Status == http.StatusBadGateway {
				outcome = "UPSTREAM_UNAVAILABLE"
			}
			if sent := requests[i].Header.Get("X-Traceid"); l.TraceID == "" || sent[:32] != l.TraceID || l.TaskID != requests[i].TaskID ||
				l.Outcome != outcome || l.Wait == nil {
				t.Errorf("%+v, and KooDrive has %s of %s", l, sent, requests[i].TaskID)
			}
		}
		if lines[len(lines)-1].TraceID != trace || lines[0].TraceID == lines[1].TraceID {
			t.Errorf("the traces of %+v", lines)
		}
		if strings.Contains(s.log.String(), token) {
			t.Error("the log has the credential")
		}
	})
}
