package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// aliceAsA is a policy that maps a caller to a user.
const aliceAsA = "callers:\n  - claims: {sub: alice}\n    users: [user-a]\n"

// decision is an audit line of the log.
type decision struct {
	Msg, Caller, Outcome, Peer string
	Allowed                    *bool
	UserID                     string `json:"user_id"`
	RequestID                  string `json:"request_id"`
}

// decisions returns all audit lines.
func (s *known) decisions(t *testing.T) (all []decision) {
	t.Helper()
	for line := range strings.Lines(s.log.String()) {
		var d decision
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if d.Msg == "audit" {
			all = append(all, d)
		}
	}
	return all
}

// asUser is a call of a token for a user, with further headers.
func (m mode) asUser(id, jwt, user string, header ...string) call {
	return call{id: id, header: append([]string{"x-user-id", user, m.header, "Bearer " + jwt}, header...)}
}

// anonymous is everything that the caller received but the request id. A gRPC status is taken as JSON, since the bytes of a map
// have no fixed order.
func (v verdict) anonymous() string {
	text, _, _ := strings.Cut(v.everything, "grpc-status-details-bin")
	return strings.ReplaceAll(text, v.requestID, "")
}

// A caller that may act for one user gets nothing for another, whatever headers it sends, and does not learn whether a task
// exists.
func TestPolicyKeepsUsersApart(t *testing.T) {
	for name, m := range modes {
		if !m.app {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				s.allow(t, aliceAsA)
				claims := map[string]any{
					"x-user-id": "user-b", "user_id": "user-b", "userId": "user-b", "x_user_id": "user-b", "uid": "user-b", "users": []string{"user-b", "*"},
					"act": map[string]any{"sub": "user-b"}, "scope": "user-b *",
				}
				for what, c := range map[string]func(id string) call{
					"by x-user-id":         func(id string) call { return m.asUser(id, s.jwt(nil), "user-b") },
					"by claims too":        func(id string) call { return m.asUser(id, s.jwt(claims), "user-b") },
					"of both":              func(id string) call { return m.asUser(id, s.jwt(nil), "user-b", "grpc-metadata-x-user-id", "user-a") },
					"by the cookie":        func(id string) call { return m.asUser(id, s.jwt(nil), "user-b", "cookie", "x-user-id=user-a") },
					"as all":               func(id string) call { return m.asUser(id, s.jwt(nil), "*") },
					"as two users":         func(id string) call { return m.asUser(id, s.jwt(nil), "user-a,user-b") },
					"as a prefix":          func(id string) call { return m.asUser(id, s.jwt(nil), "user-") },
					"in upper case":        func(id string) call { return m.asUser(id, s.jwt(nil), "USER-A") },
					"by an unknown caller": func(id string) call { return m.asUser(id, s.jwt(map[string]any{"sub": "mallory"}), "user-a") },
					"in other case":        func(id string) call { return m.asUser(id, s.jwt(map[string]any{"sub": "Alice"}), "user-a") },
					"by a similar caller":  func(id string) call { return m.asUser(id, s.jwt(map[string]any{"sub": "alice2"}), "user-a") },
				} {
					for _, door := range callerDoors {
						where := what + ", " + door
						before := len(s.decisions(t))
						there, absent := s.fail(t.Context(), t, door, c(exampleID)), s.fail(t.Context(), t, door, c("unknown"))
						for _, v := range []verdict{there, absent} {
							if v.code != codes.PermissionDenied || v.reason != "USER_NOT_ALLOWED" || v.http != 0 && v.http != http.StatusForbidden || v.retry != nil {
								t.Errorf("%s: %+v", where, v)
							}
						}
						if there.anonymous() != absent.anonymous() {
							t.Errorf("%s: a task that is there gets\n%s, one that is not\n%s", where, there.everything, absent.everything)
						}
						written := s.decisions(t)[before:]
						if len(written) != 2 {
							t.Fatalf("%s: %d decisions were logged", where, len(written))
						}
						d := written[0]
						if d.Allowed == nil || *d.Allowed || !strings.HasPrefix(d.Caller, "sub=") || d.UserID == "" || d.RequestID != there.requestID ||
							d.Outcome != "USER_NOT_ALLOWED" || d.Peer != "192.0.2.1" {
							t.Errorf("%s: %+v", where, d)
						}
					}
				}
				if n := s.koodrive.Count(); n != 0 {
					t.Errorf("KooDrive got %d requests", n)
				}
				// Headers without a meaning do not change the user of an allowed call.
				for _, door := range callerDoors {
					s.succeed(t, door, m.asUser(exampleID, s.jwt(claims), "user-a", "grpc-metadata-x-user-id", "user-b", "x-aiuser-id", "user-b"))
				}
				for _, r := range s.koodrive.Requests() {
					if got := r.Header.Values("X-User-Id"); len(got) != 1 || got[0] != "user-a" {
						t.Errorf("%s: KooDrive got a request for %q", name, got)
					}
				}
				last := s.decisions(t)
				if d := last[len(last)-1]; !*d.Allowed || d.Caller != "sub=alice" || d.UserID != "user-a" {
					t.Errorf("%s: %+v", name, d)
				}
				// A second name for the header is ignored.
				for _, door := range httpDoors {
					c := call{id: exampleID, header: []string{"grpc-metadata-x-user-id", "user-a", m.header, s.good()}}
					if v := s.fail(t.Context(), t, door, c); v.reason != "REQUEST_INVALID" {
						t.Errorf("%s, %s: %+v", name, door, v)
					}
				}
			})
		})
	}
}

// Rules match callers by claims, which may be lists; all claims of a rule must match.
func TestPolicyRules(t *testing.T) {
	for name, row := range map[string]struct {
		policy  string
		claims  map[string]any
		allowed bool
	}{
		"a claim":                  {"[{claims: {team: drive}, users: [user-a]}]", map[string]any{"team": "drive"}, true},
		"a list with it":           {"[{claims: {groups: drive}, users: [user-a]}]", map[string]any{"groups": []string{"x", "drive"}}, true},
		"a list without it":        {"[{claims: {groups: drive}, users: [user-a]}]", map[string]any{"groups": []string{"x", "drive2"}}, false},
		"a list in a list":         {"[{claims: {groups: drive}, users: [user-a]}]", map[string]any{"groups": []any{[]string{"drive"}}}, false},
		"a text that holds it":     {"[{claims: {groups: drive}, users: [user-a]}]", map[string]any{"groups": "x drive"}, false},
		"a number":                 {"[{claims: {team: '7'}, users: [user-a]}]", map[string]any{"team": 7}, false},
		"the number's text":        {"[{claims: {team: '7'}, users: [user-a]}]", map[string]any{"team": "7"}, true},
		"true":                     {"[{claims: {admin: 'true'}, users: [user-a]}]", map[string]any{"admin": true}, false},
		"an object":                {"[{claims: {team: drive}, users: [user-a]}]", map[string]any{"team": map[string]any{"drive": "drive"}}, false},
		"one of two claims":        {"[{claims: {sub: alice, team: drive}, users: [user-a]}]", nil, false},
		"two claims":               {"[{claims: {sub: alice, team: drive}, users: [user-a]}]", map[string]any{"team": "drive"}, true},
		"the second rule":          {"[{claims: {sub: bob}, users: [user-b]}, {claims: {sub: alice}, users: [user-a]}]", nil, true},
		"several rules add up":     {"[{claims: {sub: alice}, users: [user-b]}, {claims: {sub: alice}, users: [user-a]}]", nil, true},
		"two rules are not one":    {"[{claims: {sub: alice}, users: [user-b]}, {claims: {sub: bob}, users: [user-a]}]", nil, false},
		"all users":                {"[{claims: {sub: alice}, users: ['*']}]", nil, true},
		"a name is not a pattern":  {"[{claims: {sub: alice}, users: ['user-*']}]", nil, false},
		"a claim is not a pattern": {"[{claims: {sub: '*'}, users: ['*']}]", nil, false},
		"no certificate, no SAN":   {"[{san: 'DNS:alice', users: ['*']}]", map[string]any{"san": "DNS:alice"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, modes["app"], nil, func(t *testing.T, s *known) {
				s.allow(t, "callers: "+row.policy)
				for _, door := range callerDoors {
					err := s.try(t.Context(), t, door, s.mode.asUser(exampleID, s.jwt(row.claims), "user-a"))
					if err == nil != row.allowed {
						t.Errorf("%s: %v", door, err)
					}
				}
			})
		})
	}
}

// A changed policy ends the watches that it no longer allows, and no others.
func TestPolicyChangesDuringAWatch(t *testing.T) {
	restless := restless("")
	restless.Steps = restless.Steps[:0]
	for i := range 40 { // Nothing changes for 10 s, then everything.
		restless.Steps = append(restless.Steps, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i), For: 10 * time.Second})
	}
	for what, task := range map[string]koodrivetest.Task{"no messages": {ID: taskID}, "many messages": restless} {
		for _, surface := range surfaces {
			t.Run(what+"/"+surface, func(t *testing.T) {
				bubbleKnown(t, modes["app"], nil, func(t *testing.T, s *known) {
					s.koodrive.SetTask(task)
					s.allow(t, aliceAsA)
					const change = 22 * time.Second
					time.AfterFunc(change, func() { s.allow(t, "callers: [{claims: {sub: alice}, users: [user-b]}]") })
					events := s.follow(t.Context(), t, surface, s.mode.asUser(taskID, s.jwt(map[string]any{"exp": time.Now().Add(time.Hour).Unix()}), "user-a"))
					last := events[len(events)-1]
					if v := verdictOf(t, last); last.name != "failure" || v.reason != "USER_NOT_ALLOWED" || last.at < change || last.at > change+15*time.Second {
						t.Errorf("it ended after %v with %+v", last.at, v)
					}
					for _, e := range events[:len(events)-1] {
						if e.at >= change {
							t.Errorf("%s after %v", e.name, e.at)
						}
					}
					all := s.decisions(t)
					if len(all) != 2 || !*all[0].Allowed || *all[1].Allowed || all[1].UserID != "user-a" || all[1].RequestID != all[0].RequestID {
						t.Errorf("%+v", all)
					}
				})
			})
		}
	}
}

// In app mode the errors for another user's task and for a missing one are equal.
func TestOthersTasksAreNotThere(t *testing.T) {
	for name, m := range modes {
		if !m.app {
			continue
		}
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				for _, door := range doors {
					var answers []string
					for _, fault := range []*koodrivetest.Fault{
						koodrivetest.Answer(http.StatusBadRequest, `{"code":"13000410","msg":"no permission"}`),
						koodrivetest.Answer(http.StatusBadRequest, `{"code":"13000309","msg":"not there"}`),
						koodrivetest.Answer(http.StatusForbidden, `{"code":"13000410","msg":"no permission"}`),
					} {
						s.koodrive.SetFault(fault)
						v := s.fail(t.Context(), t, door, m.call(taskID, s.good()))
						if v.reason != "TASK_NOT_FOUND" || v.metadata["upstreamStatus"]+v.metadata["upstreamCode"] != "" {
							t.Errorf("%s: %+v", door, v)
						}
						answers = append(answers, v.anonymous())
					}
					if answers[0] != answers[1] || answers[1] != answers[2] {
						t.Errorf("%s: they differ: %q", door, answers)
					}
				}
			})
		})
	}
}
