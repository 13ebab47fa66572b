package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A finished task is its last event. The stream ends with the last task, whatever came before.
func TestListEndOfAFinishedTask(t *testing.T) {
	for _, surface := range surfaces {
		bubble(t, nil, func(t *testing.T, s *system) {
			s.koodrive.SetTask(koodrivetest.Task{ID: "early", Steps: steps(0, 2, 1)})
			s.koodrive.SetTask(koodrivetest.Task{ID: "failed", Steps: steps(3)})
			s.koodrive.SetTask(koodrivetest.Task{ID: "late", Steps: []koodrivetest.Step{{Status: 1, For: time.Minute}, {Status: 2}}})
			got := s.watchTasks(t.Context(), t, surface, []string{"early", "failed", "late"})
			want := map[string][]string{"early": {"NEW", "SUCCESS"}, "failed": {"FAILED"}, "late": {"EXECUTING", "SUCCESS"}}
			if fmt.Sprint(got.of) != fmt.Sprint(want) || got.end.name != "end" || got.end.at != got.at["late"] || got.end.at < time.Minute || got.end.at > 80*time.Second {
				t.Errorf("%s: %v, and %+v", surface, got.of, got.end)
			}
		})
	}
}

// An error that ends the watch of one task drops it without a delay, after as many polls as WatchTask takes.
func TestListEndOfOneTasksError(t *testing.T) {
	for name, row := range map[string]struct {
		fault *koodrivetest.Fault
		polls int // Failed ones, after an answer.
	}{
		"TASK_NOT_FOUND":              {code(400, "13000309"), 3},
		"UPSTREAM_PERMISSION_DENIED":  {body(403, ""), 2},
		"REQUEST_INVALID":             {code(400, "13000102"), 1},
		"UPSTREAM_CONTRACT_VIOLATION": {body(204, ""), 3},
		"UPSTREAM_BUSINESS_ERROR":     {code(400, "13000301"), 3},
	} {
		t.Run(name, func(t *testing.T) {
			for _, surface := range surfaces {
				bubble(t, nil, func(t *testing.T, s *system) {
					good := koodrivetest.Step{Status: 1}
					s.koodrive.SetTask(koodrivetest.Task{ID: "bad", Steps: []koodrivetest.Step{good, {Fault: row.fault}}})
					s.koodrive.SetTask(koodrivetest.Task{ID: "good", Steps: []koodrivetest.Step{{Status: 1, For: 5 * time.Minute}, {Status: 2}}})
					got := s.watchTasks(t.Context(), t, surface, []string{"bad", "good"})
					polls := 0
					for _, r := range s.koodrive.Requests() {
						if strings.HasSuffix(r.Path, "/bad") {
							polls++
						}
					}
					if !slices.Equal(got.of["bad"], []string{"EXECUTING", name}) || polls != 1+row.polls || len(got.of["good"]) != 2 || got.end.name != "end" {
						t.Errorf("%s: %v after %d polls, and %+v", surface, got.of, polls, got.end)
					}
				})
			}
		})
	}
}

// A rejected credential costs one request, however long the list is. It is the call's own error.
func TestRejectedCredentialOfAList(t *testing.T) {
	for _, surface := range surfaces {
		bubble(t, nil, func(t *testing.T, s *system) {
			ids := s.fleet(100)
			s.credential = "rejected"
			got := s.watchTasks(t.Context(), t, surface, ids)
			if v := verdictOf(t, got.end); v.reason != "CREDENTIAL_REJECTED" || len(got.of) != 0 || got.first != got.end.at {
				t.Errorf("%s: %+v", surface, got)
			}
			time.Sleep(time.Minute)
			if n := s.koodrive.Count(); n != 1 {
				t.Errorf("%s: %d requests", surface, n)
			}
		})
	}
}

// A known caller's list is asked for at once, and an unknown one's once KooDrive has answered the first task, or failed to.
func TestFirstTaskIsAskedForAlone(t *testing.T) {
	for name, row := range map[string]struct {
		first *koodrivetest.Fault
		known bool
		asked map[time.Duration]int // Requests until then.
	}{
		"an answer":        {nil, false, map[time.Duration]int{500 * time.Millisecond: 5}},
		"a slow answer":    {&koodrivetest.Fault{Latency: 3 * time.Second}, false, map[time.Duration]int{2 * time.Second: 1, 3500 * time.Millisecond: 5}},
		"another failure":  {koodrivetest.Answer(502, ""), false, map[time.Duration]int{500 * time.Millisecond: 5}},
		"not found":        {code(400, "13000309"), false, map[time.Duration]int{500 * time.Millisecond: 5}},
		"no answer":        {&koodrivetest.Fault{Hang: true}, false, map[time.Duration]int{9 * time.Second: 1, 10500 * time.Millisecond: 5}},
		"of a known one":   {&koodrivetest.Fault{Latency: 3 * time.Second}, true, map[time.Duration]int{500 * time.Millisecond: 5}},
		"a rejection":      {koodrivetest.Answer(401, ""), false, map[time.Duration]int{30 * time.Second: 1}},
		"a late rejection": {&koodrivetest.Fault{Latency: 5 * time.Second, Status: 401}, false, map[time.Duration]int{30 * time.Second: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				ids := s.fleet(5, koodrivetest.Step{Status: 1, For: time.Hour})
				s.koodrive.SetTask(koodrivetest.Task{ID: ids[0], Steps: []koodrivetest.Step{{Fault: row.first, For: time.Hour, Status: 1}}})
				if row.known {
					s.watch(t.Context(), t, "grpc", exampleID)
				}
				before, start := s.koodrive.Count(), time.Now()
				ctx, leave := context.WithCancel(t.Context())
				var client sync.WaitGroup
				client.Go(func() { s.followTasks(ctx, t, "grpc", ids, func(event) {}) })
				for at, want := range row.asked {
					time.Sleep(time.Until(start.Add(at)))
					n := 0
					seen := map[string]bool{}
					for _, r := range s.koodrive.Requests()[before:] {
						if r.Received.Sub(start) <= at && !seen[r.Path] {
							seen[r.Path] = true
							n++
						}
					}
					if n != want {
						t.Errorf("%d tasks were asked for until %v, want %d", n, at, want)
					}
				}
				leave()
				client.Wait()
			})
		})
	}
}

// A token that dies in the middle ends the watch of all its tasks, after a few requests.
func TestListEndOfARejectedCredential(t *testing.T) {
	for _, surface := range surfaces {
		bubble(t, nil, func(t *testing.T, s *system) {
			ids := s.fleet(100, koodrivetest.Step{Status: 1, For: 2*time.Minute + time.Second}, koodrivetest.Step{Status: 2})
			var revoked time.Time
			requests := 0
			time.AfterFunc(2*time.Minute, func() {
				revoked, requests = time.Now(), s.koodrive.Count()
				s.koodrive.RevokeToken(token)
			})
			ends := 0
			var last event
			s.followTasks(t.Context(), t, surface, ids, func(e event) {
				last = e
				switch {
				case e.name == "end" || e.name == "failure":
					ends++
				case e.name != "heartbeat" && !revoked.IsZero():
					t.Errorf("%s: %+v after the token was revoked", surface, e)
				}
			})
			took := time.Since(revoked)
			time.Sleep(time.Minute)
			n := s.koodrive.Count() - requests
			if n > 20 {
				t.Errorf("%s: %d requests with the revoked token", surface, n)
			}
			if v := verdictOf(t, last); ends != 1 || v.reason != "CREDENTIAL_REJECTED" || v.retry != nil || took > 5*time.Second {
				t.Errorf("%s: %d ends, after %v and %d requests: %+v", surface, ends, took, n, v)
			}
		})
	}
}

// One node of KooDrive's that rejects a credential does not end the watch of a list, be it at a task's first poll or later.
func TestOneRejectionEndsNoList(t *testing.T) {
	rejection := koodrivetest.Step{Fault: koodrivetest.Answer(401, "")}
	for name, timeline := range map[string][]koodrivetest.Step{
		"first": {rejection, {Status: 1}, {Status: 2}},
		"later": {{Status: 1}, rejection, {Status: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				ids := s.fleet(20, koodrivetest.Step{Status: 1, For: time.Minute}, koodrivetest.Step{Status: 2})
				s.koodrive.SetTask(koodrivetest.Task{ID: ids[5], Steps: timeline})
				got := s.watchTasks(t.Context(), t, "grpc", ids)
				for _, id := range ids {
					if !slices.Equal(got.of[id], []string{"EXECUTING", "SUCCESS"}) {
						t.Errorf("saw %q of %s", got.of[id], id)
					}
				}
				if got.end.name != "end" {
					t.Errorf("ended with %+v", got.end)
				}
			})
		})
	}
}

// What is true of all tasks ends the watch of all.
func TestListEndOfAMisconfiguration(t *testing.T) {
	for name, row := range map[string]struct {
		configure func(*server.Config)
		fault     *koodrivetest.Fault
		reason    string
	}{
		"no route":     {nil, body(404, ""), "SERVER_MISCONFIGURED"},
		"rejected app": {appMode("s3cr3t"), body(401, ""), "SERVER_MISCONFIGURED"},
		"rejected":     {nil, body(401, ""), "CREDENTIAL_REJECTED"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, surface := range surfaces {
				bubble(t, row.configure, func(t *testing.T, s *system) {
					s.koodrive.AddApp("app", "s3cr3t")
					ids := s.fleet(3, koodrivetest.Step{Status: 1, For: 30 * time.Second}, koodrivetest.Step{Fault: row.fault})
					var got seen
					if row.configure == nil {
						got = s.watchTasks(t.Context(), t, surface, ids)
					} else {
						if surface == "grpc" {
							return // The fixture's calls have no user.
						}
						r := request(t.Context(), t, listPath(":watch", ids), "Accept", surface, "X-User-Id", "42")
						r.Header.Del("Authorization")
						resp, body := s.get(t, r)
						parse(t, surface, strings.NewReader(body), func(e event) { got.end = e })
						if resp.StatusCode != http.StatusOK {
							t.Errorf("HTTP %d", resp.StatusCode)
						}
					}
					if v := verdictOf(t, got.end); v.reason != row.reason || v.retry != nil {
						t.Errorf("%s: %+v", surface, got.end)
					}
					for id, states := range got.of {
						if !slices.Equal(states, []string{"EXECUTING"}) {
							t.Errorf("%s: saw %q of %s", surface, states, id)
						}
					}
				})
			}
		})
	}
}

// The lifetime, the server's stop, the caller's deadline and a client that leaves end a list as they end a watch.
func TestListEndFromOutside(t *testing.T) {
	for _, surface := range surfaces {
		t.Run("lifetime "+surface, func(t *testing.T) {
			bubble(t, func(c *server.Config) { c.Service.WatchLifetime = time.Minute }, func(t *testing.T, s *system) {
				got := s.watchTasks(t.Context(), t, surface, s.fleet(10))
				if v := verdictOf(t, got.end); v.reason != "WATCH_LIFETIME_REACHED" || v.retry == nil || len(got.of) != 10 || got.end.at > 73*time.Second {
					t.Errorf("%+v after %v", v, got.end.at)
				}
			})
		})
		t.Run("drain "+surface, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				ids := s.fleet(10)
				var all sync.WaitGroup
				var mu sync.Mutex
				var ends []time.Duration
				var stopped time.Time
				for range 50 {
					all.Go(func() {
						got := s.watchTasks(t.Context(), t, surface, ids)
						mu.Lock()
						defer mu.Unlock()
						if v := verdictOf(t, got.end); v.reason != "SERVER_DRAINING" || v.retry == nil || len(got.of) != 10 {
							t.Errorf("%+v", got.end)
						}
						ends = append(ends, time.Since(stopped))
					})
				}
				time.Sleep(5 * time.Second)
				stopped = time.Now()
				s.stop()
				all.Wait()
				if low, high := slices.Min(ends), slices.Max(ends); high-low < server.DefaultGrace/2*8/10 || high > server.DefaultGrace/2 {
					t.Errorf("ends from %v to %v", low, high)
				}
				if err := <-s.stopped; err != nil {
					t.Error(err)
				}
				s.stopped <- nil
			})
		})
		t.Run("left "+surface, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetFault(&koodrivetest.Fault{Latency: 300 * time.Millisecond})
				ctx, leave := context.WithCancel(t.Context())
				var client sync.WaitGroup
				client.Go(func() { s.followTasks(ctx, t, surface, s.fleet(60), func(event) {}) })
				time.Sleep(10 * time.Second)
				leave()
				synctest.Wait()
				n := s.koodrive.Count()
				for _, r := range s.koodrive.Requests() {
					if r.Ended.IsZero() {
						t.Error("a request is still in flight")
					}
				}
				if time.Sleep(time.Minute); s.koodrive.Count() != n {
					t.Errorf("%d requests after the client has left", s.koodrive.Count()-n)
				}
				client.Wait()
			})
		})
	}
	t.Run("a client that does not read", func(t *testing.T) {
		bubble(t, nil, func(t *testing.T, s *system) {
			ids := s.fleet(100, koodrivetest.Step{Status: 1, Name: strings.Repeat("x", 10_000)})
			stream, err := s.tasks.WatchTasks(as(t.Context(), token), &taskv1.WatchTasksRequest{TaskIds: ids})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			for err == nil {
				_, err = stream.Recv()
			}
			if v := read(t, status.Convert(err)); v.reason != "WATCHER_TOO_SLOW" || v.retry == nil {
				t.Errorf("%+v", v)
			}
		})
	})
	bubble(t, nil, func(t *testing.T, s *system) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got := s.watchTasks(ctx, t, "grpc", s.fleet(10))
		if v := verdictOf(t, got.end); v.reason != "CALLER_DEADLINE" || got.end.at != 10*time.Second-30*time.Millisecond {
			t.Errorf("%+v after %v", v, got.end.at)
		}
	})
}

// A client that reads slowly does not keep its list beyond the lifetime or the stop, but gets the last states first.
func TestListOfASlowReaderEnds(t *testing.T) {
	for name, row := range map[string]struct {
		lifetime time.Duration
		reason   string
	}{"lifetime": {time.Minute, "WATCH_LIFETIME_REACHED"}, "drain": {0, "SERVER_DRAINING"}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(c *server.Config) { c.Service.WatchLifetime = row.lifetime }, func(t *testing.T, s *system) {
				long := strings.Repeat("x", 10_000)
				var changes []koodrivetest.Step
				for i := range 300 {
					changes = append(changes, koodrivetest.Step{Status: 1, Name: long + fmt.Sprint(i)})
				}
				ids := s.fleet(100, changes...)
				stream, err := s.tasks.WatchTasks(as(t.Context(), token), &taskv1.WatchTasksRequest{TaskIds: ids})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				if row.lifetime == 0 {
					time.AfterFunc(time.Minute, s.stop)
				}
				for err == nil {
					_, err = stream.Recv()
					time.Sleep(time.Second)
				}
				if v := read(t, status.Convert(err)); v.reason != row.reason || time.Since(start) > 3*time.Minute {
					t.Errorf("%+v after %v", v, time.Since(start))
				}
				if row.lifetime == 0 {
					if err := <-s.stopped; err != nil {
						t.Error(err)
					}
					s.stopped <- nil
				}
			})
		})
	}
}

// A list ends with its caller's token, and when the policy no longer allows the user.
func TestListEndsWithTheCallersRights(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}}})
				for _, door := range listDoors {
					start := time.Now()
					short := "Bearer " + s.jwt(map[string]any{"exp": start.Add(10 * time.Second).Unix()})
					err := s.try(t.Context(), t, door, s.mode.call(taskID, short))
					if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "CALLER_UNAUTHENTICATED") && !strings.Contains(err.Error(), "Unauthenticated") || took > 11*time.Second {
						t.Errorf("%s: %v after %v", door, err, took)
					}
					if !m.app {
						continue
					}
					time.AfterFunc(20*time.Second, func() { s.allow(t, aliceAsA) })
					start = time.Now()
					err = s.try(t.Context(), t, door, s.mode.call(taskID, s.good()))
					if took := time.Since(start); err == nil || !strings.Contains(err.Error(), "USER_NOT_ALLOWED") && !strings.Contains(err.Error(), "PermissionDenied") || took > 20*time.Second+service.DefaultHeartbeat {
						t.Errorf("%s: %v after %v", door, err, took)
					}
					s.allow(t, everybodyAsTheUser)
				}
			})
		})
	}
}

// A ticket for a list stands for the set of its ids.
func TestTicketForAList(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		ids := s.fleet(4, steps(2)...)
		ticket := func() string {
			r := request(t.Context(), t, listPath(":ticket", ids[:3]))
			r.Method = http.MethodPost
			resp, body := s.get(t, r)
			var said map[string]string
			if err := json.Unmarshal([]byte(body), &said); err != nil || resp.StatusCode != http.StatusOK || len(said["ticket"]) != 43 {
				t.Fatalf("HTTP %d, %v: %s", resp.StatusCode, err, body)
			}
			return said["ticket"]
		}
		comes := func(ticket, path string) int {
			r := request(t.Context(), t, path, "Accept", sse)
			r.Header.Del("Authorization")
			query := r.URL.Query()
			query.Set("ticket", ticket)
			r.URL.RawQuery = query.Encode()
			resp, _ := s.get(t, r)
			return resp.StatusCode
		}
		for name, row := range map[string]struct {
			path string
			want int
		}{
			"the same":      {listPath(":watch", ids[:3]), 200},
			"another order": {listPath(":watch", []string{ids[2], ids[0], ids[1], ids[0]}), 200},
			"a subset":      {listPath(":watch", ids[:2]), 401},
			"a superset":    {listPath(":watch", ids), 401},
			"another set":   {listPath(":watch", ids[1:]), 401},
			"no list":       {listPath(":watch", nil), 401},
			"one task":      {"/v1/tasks/" + ids[0] + ":watch", 401},
		} {
			value := ticket()
			if got := comes(value, row.path); got != row.want {
				t.Errorf("%s: HTTP %d", name, got)
			}
			if got := comes(value, listPath(":watch", ids[:3])); got != 401 {
				t.Errorf("%s: HTTP %d with a used ticket", name, got)
			}
		}
		for _, life := range []struct {
			wait time.Duration
			want int
		}{{auth.TicketLife - time.Second, 200}, {auth.TicketLife + time.Millisecond, 401}} {
			value := ticket()
			time.Sleep(life.wait)
			if got := comes(value, listPath(":watch", ids[:3])); got != life.want {
				t.Errorf("after %v: HTTP %d", life.wait, got)
			}
		}
		// A ticket for one task is for that task's watch.
		if got := comes(s.ticket(t, bearer...), listPath(":watch", ids[:2])); got != 401 {
			t.Errorf("a ticket for one task: HTTP %d", got)
		}
	})
}

// An event source that has seen the last event is told not to come back.
func TestReconnectAfterTheEndOfAList(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		ids := s.fleet(2)
		for name, r := range map[string]*http.Request{
			"header":    request(t.Context(), t, listPath(":watch", ids), "Accept", sse, "Last-Event-ID", "end"),
			"parameter": request(t.Context(), t, listPath(":watch", ids)+"&lastEventId=end"),
		} {
			if resp, body := s.get(t, r); resp.StatusCode != http.StatusNoContent || body != "" || s.koodrive.Count() != 0 {
				t.Errorf("%s: HTTP %d: %s", name, resp.StatusCode, body)
			}
		}
	})
}

// A long list passes as it is, over each surface.
func TestLongestList(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		var ids []string
		for i := range 100 {
			ids = append(ids, fmt.Sprintf("%064d", i))
			s.koodrive.SetTask(koodrivetest.Task{ID: ids[i], Steps: steps(2)})
		}
		for _, surface := range surfaces {
			if got := s.watchTasks(t.Context(), t, surface, ids); len(got.of) != 100 || got.end.name != "end" {
				t.Errorf("%s: %d tasks, and %+v", surface, len(got.of), got.end)
			}
		}
	})
}
