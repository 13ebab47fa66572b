package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// wait waits for a task at a door, and returns the task or the failure. An empty timeout sends none.
func (s *system) wait(ctx context.Context, t *testing.T, door, id, timeout string) (*taskv1.Task, verdict) {
	t.Helper()
	if door == "grpc wait" {
		req := &taskv1.WaitTaskRequest{TaskId: id}
		if timeout != "" {
			d, _ := time.ParseDuration(timeout)
			req.Timeout = durationpb.New(d)
		}
		resp, err := s.tasks.WaitTask(as(ctx, token), req)
		if err != nil {
			return nil, read(t, status.Convert(err))
		}
		return resp.GetTask(), verdict{}
	}
	r := request(ctx, t, "/v1/tasks/"+id+":wait")
	if timeout != "" {
		r.URL.RawQuery = "timeout=" + timeout
	}
	if deadline, ok := ctx.Deadline(); ok {
		r.Header.Set("Grpc-Timeout", fmt.Sprintf("%dm", time.Until(deadline).Milliseconds()))
		r = r.WithContext(context.WithoutCancel(ctx))
	}
	resp, body := s.get(t, r)
	if resp.StatusCode != http.StatusOK {
		v := read(t, parseStatus(t, body))
		v.http = resp.StatusCode
		return nil, v
	}
	task := &taskv1.Task{}
	if err := protojson.Unmarshal([]byte(body), task); err != nil {
		t.Fatalf("body %q: %v", body, err)
	}
	return task, verdict{}
}

var waitDoors = []string{"grpc wait", "rest wait"}

// A task that finishes during the wait is the answer within one poll. One that does not is an answer when the wait is over, in its
// newest state.
func TestWait(t *testing.T) {
	for _, door := range waitDoors {
		for _, row := range []struct {
			timeout    string
			after      time.Duration // Until the task is finished, and then NEW is followed by EXECUTING at 3 s.
			from, most time.Duration
			want       string
		}{
			{"", time.Hour, 25 * time.Second, 25100 * time.Millisecond, "EXECUTING"},
			{"50s", time.Hour, 50 * time.Second, 50100 * time.Millisecond, "EXECUTING"},
			{"55s", time.Hour, 55 * time.Second, 55100 * time.Millisecond, "EXECUTING"},
			{"3600s", time.Hour, 55 * time.Second, 55100 * time.Millisecond, "EXECUTING"},
			{"2.5s", time.Hour, 2500 * time.Millisecond, 2600 * time.Millisecond, "NEW"},
			{"0s", time.Hour, 0, 100 * time.Millisecond, "NEW"},
			{"50s", 20 * time.Second, 20 * time.Second, 35 * time.Second, "SUCCESS"},
			{"0s", 0, 0, 100 * time.Millisecond, "SUCCESS"},
		} {
			t.Run(fmt.Sprintf("%s/%s/%v", door, row.timeout, row.after), func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, s *system) {
					timeline := []koodrivetest.Step{{Status: 0, For: 3 * time.Second}, {Status: 1, For: row.after - 3*time.Second}, {Status: 2}}
					if row.after == 0 {
						timeline = []koodrivetest.Step{{Status: 2}}
					}
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: timeline})
					start := time.Now()
					task, v := s.wait(t.Context(), t, door, taskID, row.timeout)
					took := time.Since(start)
					if got := strings.TrimPrefix(task.GetStatus().String(), "TASK_STATUS_"); v.reason != "" || got != row.want || task.GetDone() != (row.want == "SUCCESS") {
						t.Errorf("got %v, %+v", task, v)
					}
					if took < row.from || took > row.most {
						t.Errorf("took %v, want %v to %v", took, row.from, row.most)
					}
					if age := time.Since(task.GetObserveTime().AsTime()); age > 19*time.Second {
						t.Errorf("the state is %v old", age)
					}
				})
			})
		}
	}
}

// A wait is over before the call's deadline, so that it has an answer.
func TestWaitEndsBeforeTheDeadline(t *testing.T) {
	for _, door := range waitDoors {
		for deadline, want := range map[time.Duration]time.Duration{
			5 * time.Second: 4500 * time.Millisecond, 20 * time.Second: 19 * time.Second, 300 * time.Millisecond: 270 * time.Millisecond,
		} {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				start := time.Now()
				task, v := s.wait(ctx, t, door, taskID, "30s")
				if took := time.Since(start); v.reason != "" || task.GetDone() || (took-want).Abs() > 20*time.Millisecond {
					t.Errorf("%s: %v, %+v after %v, want %v", door, task, v, took, want)
				}
			})
		}
	}
}

// KooDrive's first verdict is awaited, for at most as long as GetTask would wait, and not beyond the caller's deadline.
func TestWaitForTheFirstVerdict(t *testing.T) {
	for _, door := range waitDoors {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
			s.koodrive.SetFault(&koodrivetest.Fault{Latency: 3 * time.Second})
			start := time.Now()
			if task, v := s.wait(t.Context(), t, door, taskID, "1s"); task == nil || task.GetDone() || time.Since(start) != 3*time.Second {
				t.Errorf("%s: %v, %+v after %v", door, task, v, time.Since(start))
			}
			s.koodrive.SetFault(&koodrivetest.Fault{Hang: true})
			start = time.Now()
			if _, v := s.wait(t.Context(), t, door, "unseen", "1s"); v.reason != "UPSTREAM_TIMEOUT" || v.retry == nil || time.Since(start) != 10*time.Second {
				t.Errorf("%s: %+v after %v", door, v, time.Since(start))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			start = time.Now()
			if _, v := s.wait(ctx, t, door, "unseen", ""); v.reason != "CALLER_DEADLINE" && v.code != codes.DeadlineExceeded || time.Since(start) > 4*time.Second {
				t.Errorf("%s: %+v after %v", door, v, time.Since(start))
			}
		})
		// The queue is full for so long that no verdict comes within GetTask's time.
		full := func(c *server.Config) { c.Upstream.AtOnce, c.Upstream.Timeout = 1, 40*time.Second }
		bubble(t, full, func(t *testing.T, s *system) {
			s.koodrive.SetFault(&koodrivetest.Fault{Hang: true})
			start := time.Now()
			if _, v := s.wait(t.Context(), t, door, "unseen", "55s"); v.reason != "UPSTREAM_TIMEOUT" || time.Since(start) != 25*time.Second {
				t.Errorf("%s: %+v after %v", door, v, time.Since(start))
			}
		})
	}
}

// After the first answer, an outage does not end a wait. A doubt does, at its end.
func TestWaitDuringFailures(t *testing.T) {
	for _, door := range waitDoors {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
			start := time.Now()
			time.AfterFunc(2*time.Second, func() { s.koodrive.SetFault(koodrivetest.Answer(http.StatusBadGateway, "")) })
			task, v := s.wait(t.Context(), t, door, taskID, "30s")
			if took := time.Since(start); v.reason != "" || task.GetDone() || took != 30*time.Second {
				t.Errorf("%s: %v, %+v after %v", door, task, v, took)
			}
			if confirmed := task.GetObserveTime().AsTime().Sub(start); confirmed > 2*time.Second {
				t.Errorf("%s: confirmed after %v", door, confirmed)
			}
		})
		for name, row := range map[string]struct {
			fault   *koodrivetest.Fault
			timeout string
			at      time.Duration // The most that the wait may take.
			reason  string
		}{
			"a doubt":            {code(400, "13000309"), "3s", 3 * time.Second, "TASK_NOT_FOUND"},
			"a doubt, an outage": {nil, "20s", 20 * time.Second, "TASK_NOT_FOUND"},
			"no more doubt":      {code(400, "13000309"), "50s", 30 * time.Second, "TASK_NOT_FOUND"},
			"a credential twice": {body(401, ""), "50s", 10 * time.Second, "CREDENTIAL_REJECTED"},
			"a wrong answer":     {body(204, ""), "50s", 30 * time.Second, "UPSTREAM_CONTRACT_VIOLATION"},
		} {
			t.Run(door+"/"+name, func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, s *system) {
					timeline := []koodrivetest.Step{{Status: 1}, {Fault: row.fault}}
					if row.fault == nil {
						timeline = []koodrivetest.Step{{Status: 1}, {Fault: code(400, "13000309")}, {Fault: koodrivetest.Answer(502, "")}}
					}
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: timeline})
					start := time.Now()
					if task, v := s.wait(t.Context(), t, door, taskID, row.timeout); v.reason != row.reason || time.Since(start) > row.at {
						t.Errorf("%v, %+v after %v", task, v, time.Since(start))
					}
				})
			})
		}
	}
}

// What a caller may see is asked again right before the answer.
func TestWaitEndsWithTheToken(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1, For: 20 * time.Second}, {Status: 2}}})
				for _, door := range waitDoors {
					start := time.Now()
					short := "Bearer " + s.jwt(map[string]any{"exp": start.Add(10 * time.Second).Unix()})
					v := s.fail(t.Context(), t, door, s.mode.call(taskID, short))
					if took := time.Since(start); v.reason != "CALLER_UNAUTHENTICATED" || took > 11*time.Second || took < 8*time.Second {
						t.Errorf("%s: %+v after %v", door, v, took)
					}
				}
			})
		})
	}
}

// Waits in a row cost KooDrive what one watch costs, also if KooDrive is slow, and nothing between them.
func TestWaitsInARow(t *testing.T) {
	t.Parallel()
	const while, runs = 10 * time.Minute, 2 // The intervals are jittered.
	count := func(latency time.Duration, run func(t *testing.T, s *system)) (requests int) {
		for range runs {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
				s.koodrive.SetFault(&koodrivetest.Fault{Latency: latency})
				run(t, s)
				n := s.koodrive.Count()
				requests += n
				if time.Sleep(time.Hour); s.koodrive.Count() != n {
					t.Errorf("%d requests after the last wait", s.koodrive.Count()-n)
				}
			})
		}
		return requests
	}
	for _, latency := range []time.Duration{20 * time.Millisecond, 1500 * time.Millisecond, 5 * time.Second} {
		watched := count(latency, func(t *testing.T, s *system) {
			ctx, leave := context.WithTimeout(t.Context(), while)
			defer leave()
			s.followGRPC(ctx, taskID, func(event) {})
		})
		for i, timeout := range []string{"25s", "5s", "1s"} {
			door := waitDoors[i%2]
			waited := count(latency, func(t *testing.T, s *system) {
				for end := time.Now().Add(while); time.Now().Before(end); {
					if task, v := s.wait(t.Context(), t, door, taskID, timeout); task == nil {
						t.Fatalf("%+v", v)
					}
					<-time.After(20 * time.Millisecond) // The client's own time.
				}
			})
			t.Logf("%v, %s, %s: %d requests, and %d of a watch", latency, door, timeout, waited, watched)
			if float64(waited) > 1.1*float64(watched) {
				t.Errorf("%v, %s, %s: %d requests, and %d of a watch", latency, door, timeout, waited, watched)
			}
		}
	}
}

// During a pause between two waits nothing is asked, and the wait after it starts over.
func TestPauseBetweenWaits(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
		_, _ = s.wait(t.Context(), t, "grpc wait", taskID, "25s")
		before := s.koodrive.Count()
		time.Sleep(time.Minute)
		if n := s.koodrive.Count() - before; n != 0 {
			t.Errorf("%d requests during the pause", n)
		}
		_, _ = s.wait(t.Context(), t, "grpc wait", taskID, "0s")
		if n := s.koodrive.Count() - before; n != 1 {
			t.Errorf("%d requests after the pause", n)
		}
	})
}
