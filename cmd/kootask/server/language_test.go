package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// named are values of the language header, and the languages that they select. An unsupported one selects none.
var named = map[string]string{"": "", "zh-CN": reason.Chinese, "ZH_cn": reason.Chinese, "en-US": reason.English, "en_us": reason.English, "xx-XX": ""}

// Every error, of whatever origin, has a text in the language of the call, and none if the call names no language.
func TestErrorsAreInTheCallersLanguage(t *testing.T) {
	m := modes["caller"]
	bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
		check := func(door, want, wantLanguage string, v verdict) {
			t.Helper()
			if v.reason != want || v.language != wantLanguage {
				t.Errorf("%s: %s in %q, want %s in %q", door, v.reason, v.language, want, wantLanguage)
			}
			if v.http != 0 && !strings.Contains(v.header.Get("Vary"), "Language") {
				t.Errorf("%s: Vary %q", door, v.header.Get("Vary"))
			}
		}
		for given, language := range named {
			in := func(c call) call {
				c.header = append(c.header[:len(c.header):len(c.header)], "language", given)
				return c
			}
			unsupported := given != "" && language == ""
			for _, door := range doors {
				for want, c := range map[string]call{
					"TASK_NOT_FOUND": m.call("unknown", s.good()), "CALLER_UNAUTHENTICATED": m.call(taskID, "Bearer no"),
					"CREDENTIAL_MISSING": {id: taskID, header: []string{m.header, s.good()}}, "REQUEST_INVALID": m.call("list", s.good()),
				} {
					if unsupported {
						want = "REQUEST_INVALID"
					}
					check(door, want, language, s.fail(t.Context(), t, door, in(c)))
				}
			}
			for _, door := range httpDoors {
				c := in(m.call(taskID, s.good()))
				c.query = "?a=b"
				check(door, "REQUEST_INVALID", language, s.fail(t.Context(), t, door, c))
			}
			for path, want := range map[string]string{"/v2": "ROUTE_NOT_FOUND", "/v1/tasks/1:ticket": "METHOD_NOT_ALLOWED"} {
				_, body := s.get(t, request(t.Context(), t, path, "language", given))
				check(path, want, language, read(t, parseStatus(t, body)))
			}
		}
		for _, door := range callerDoors {
			c := m.call(taskID, s.good())
			c.header = append(c.header, "language", "zh-CN", "language", "zh-CN")
			check(door, "REQUEST_INVALID", "", s.fail(t.Context(), t, door, c))
		}
	})
	bubble(t, func(c *server.Config) { c.LocalHosts = true }, func(t *testing.T, s *system) {
		_, body := s.get(t, request(t.Context(), t, "/v1/tasks/1", "language", "zh-CN"))
		if v := read(t, parseStatus(t, body)); v.reason != "REQUEST_INVALID" || v.language != reason.Chinese {
			t.Errorf("another host: %s", body)
		}
	})
}

// The same holds for a watch that fails after its first message.
func TestFailuresAreInTheCallersLanguage(t *testing.T) {
	for given, language := range map[string]string{"": "", "zh-CN": reason.Chinese, "en-US": reason.English} {
		for _, surface := range surfaces {
			t.Run(fmt.Sprintf("%q/%s", given, surface), func(t *testing.T) {
				bubbleKnown(t, modes["caller"], nil, func(t *testing.T, s *known) {
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}, {Fault: koodrivetest.Answer(403, "")}}})
					c := s.mode.call(taskID, s.good())
					c.header = append(c.header, "language", given)
					events := s.follow(t.Context(), t, surface, c)
					v := verdictOf(t, events[len(events)-1])
					if len(events) < 2 || v.reason != "UPSTREAM_PERMISSION_DENIED" || v.language != language {
						t.Errorf("%d events, the last %s in %q, want it in %q", len(events), v.reason, v.language, language)
					}
				})
				bubbleKnown(t, modes["caller"], nil, func(t *testing.T, s *known) {
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
					c := s.mode.call(taskID, s.good())
					c.header = append(c.header, "language", given)
					go func() {
						time.Sleep(5 * time.Second)
						s.stop()
					}()
					events := s.follow(t.Context(), t, surface, c)
					if v := verdictOf(t, events[len(events)-1]); v.reason != "SERVER_DRAINING" || v.language != language {
						t.Errorf("a stop ends it with %s in %q, want it in %q", v.reason, v.language, language)
					}
					synctest.Wait()
				})
			})
		}
	}
}

// A ticket keeps its caller's language, unless the request with the ticket names another.
func TestTicketsHaveALanguage(t *testing.T) {
	for _, row := range []struct{ caller, request, want string }{
		{"", "", ""}, {reason.Chinese, "", reason.Chinese}, {"", reason.Chinese, reason.Chinese}, {reason.English, reason.Chinese, reason.Chinese},
	} {
		for _, surface := range []string{ndjson, sse} {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1}, {Fault: koodrivetest.Answer(403, "")}}})
				query := ":watch?ticket=" + s.ticket(t, append(bearer, "language", row.caller)...)
				resp, body := s.comes(t, surface, taskID, query, "language", row.request)
				var events []event
				parse(t, surface, strings.NewReader(body), func(e event) { events = append(events, e) })
				v := verdictOf(t, events[len(events)-1])
				if resp.StatusCode != http.StatusOK || v.reason != "UPSTREAM_PERMISSION_DENIED" || v.language != row.want {
					t.Errorf("%s, %+v: HTTP %d, %s in %q", surface, row, resp.StatusCode, v.reason, v.language)
				}
				// It is used up, and belongs to nobody.
				_, body = s.comes(t, surface, taskID, query, "language", row.request)
				if v := read(t, parseStatus(t, body)); v.reason != "CALLER_UNAUTHENTICATED" || v.language != row.request {
					t.Errorf("%s, %+v, again: %s", surface, row, body)
				}
			})
		}
	}
}
