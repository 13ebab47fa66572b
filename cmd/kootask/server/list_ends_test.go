package server_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server"
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
