package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/canaries"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// post requests a ticket, with these headers and no others.
func (s *system) post(t *testing.T, header ...string) (*http.Response, string) {
	t.Helper()
	r := request(t.Context(), t, "/v1/tasks/"+taskID+":ticket")
	r.Method = http.MethodPost
	r.Header = http.Header{}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return s.get(t, r)
}

// ticket returns a ticket, and checks the answer. The log is searched for it when the test ends.
func (s *system) ticket(t *testing.T, header ...string) string {
	t.Helper()
	resp, body := s.post(t, header...)
	var said map[string]string
	if err := json.Unmarshal([]byte(body), &said); err != nil || resp.StatusCode != http.StatusOK || len(said) != 2 || len(said["ticket"]) != 43 {
		t.Fatalf("HTTP %d, %v: %s", resp.StatusCode, err, body)
	}
	if at, err := time.Parse("2006-01-02T15:04:05.000Z", said["expireTime"]); err != nil || time.Now().Add(auth.TicketLife).Sub(at) >= time.Millisecond {
		t.Errorf("it expires %q", said["expireTime"])
	}
	if resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", resp.Header)
	}
	secret := canaries.New("a ticket", said["ticket"])
	t.Cleanup(func() {
		if form := secret.In(s.log.String()); form != "" {
			t.Errorf("a ticket is in the log, %s", form)
		}
	})
	return said["ticket"]
}

// comes watches with a query, in place of a credential.
func (s *system) comes(t *testing.T, accept, id, query string, header ...string) (*http.Response, string) {
	t.Helper()
	r := request(t.Context(), t, "/v1/tasks/"+id+query)
	r.Header = http.Header{"Accept": {accept}}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return s.get(t, r)
}

// An event source, which can send no header, watches with a ticket as its owner would with the credential.
func TestWatchWithATicket(t *testing.T) {
	for _, surface := range []string{ndjson, sse} {
		t.Run(surface, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1, 2)})
				ticket := s.ticket(t, append(bearer, "language", "en-US")...)
				if n := s.koodrive.Count(); n != 0 {
					t.Errorf("for a ticket KooDrive got %d requests", n)
				}
				time.Sleep(auth.TicketLife - time.Second)
				resp, body := s.comes(t, surface, taskID, ":watch?ticket="+ticket)
				var got []event
				parse(t, surface, strings.NewReader(body), func(e event) { got = append(got, e) })
				if want := forSurface(surface, "EXECUTING", "SUCCESS", "end"); resp.StatusCode != 200 || !slices.Equal(names(t, got), want) {
					t.Errorf("HTTP %d, %q", resp.StatusCode, names(t, got))
				}
				for _, r := range s.koodrive.Requests() {
					if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("Language") != "en-US" {
						t.Errorf("KooDrive got %v", r.Header)
					}
				}
				// The event source reconnects, before it has seen the end and after.
				if resp, body := s.comes(t, surface, taskID, ":watch?ticket="+ticket, "Last-Event-ID", "1"); resp.StatusCode != 401 {
					t.Errorf("again: HTTP %d, %s", resp.StatusCode, body)
				}
				if resp, body := s.comes(t, surface, taskID, ":watch?ticket="+ticket+"&lastEventId=end"); resp.StatusCode != 204 || body != "" {
					t.Errorf("after the end, without headers: HTTP %d, %s", resp.StatusCode, body)
				}
				want := map[string]int{ndjson: 401, sse: 204}[surface]
				if resp, body := s.comes(t, surface, taskID, ":watch?ticket="+ticket, "Last-Event-ID", "end"); resp.StatusCode != want {
					t.Errorf("after the end: HTTP %d, %s", resp.StatusCode, body)
				}
			})
		})
	}
}

// A ticket for a malformed task id is refused with the error of a call.
func TestNoTicketsForBadTaskIDs(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for id, violation := range map[string]string{
			"list": "RESERVED", "dstUserInfo": "RESERVED", "a.b": "MALFORMED", strings.Repeat("9", 65): "TOO_LONG", "%ff": "MALFORMED",
		} {
			r := request(t.Context(), t, "/v1/tasks/"+id+":ticket")
			r.Method = http.MethodPost
			resp, body := s.get(t, r)
			if v := read(t, parseStatus(t, body)); resp.StatusCode != http.StatusBadRequest || !slices.Equal(v.violations, []string{"taskId " + violation}) {
				t.Errorf("%s: HTTP %d, %q", id, resp.StatusCode, v.violations)
			}
		}
	})
}

// Requests for which a ticket is invalid. Each uses the ticket up, unless it is not a request to watch with a ticket at all.
func TestInvalidTickets(t *testing.T) {
	const unknown, invalid = "CALLER_UNAUTHENTICATED", "REQUEST_INVALID"
	rows := map[string]struct {
		after  time.Duration
		path   string // $ is the ticket.
		header []string
		reason string
		left   bool // The ticket is still valid afterwards.
	}{
		"too late":              {auth.TicketLife, taskID + ":watch?ticket=$", nil, unknown, false},
		"for another task":      {0, exampleID + ":watch?ticket=$", nil, unknown, false},
		"invented":              {0, taskID + ":watch?ticket=" + strings.Repeat("A", 43), nil, unknown, true},
		"another case":          {0, taskID + ":watch?ticket=$A", nil, unknown, true},
		"empty":                 {0, taskID + ":watch?ticket=", nil, unknown, true},
		"no value":              {0, taskID + ":watch?ticket", nil, unknown, true},
		"in no known form":      {0, taskID + ":watch?ticket=$%20", nil, invalid, true},
		"twice in one":          {0, taskID + ":watch?ticket=$&ticket=$", nil, invalid, true},
		"on GetTask":            {0, taskID + "?ticket=$", nil, invalid, true},
		"by another name":       {0, taskID + ":watch?Ticket=$", nil, invalid, true},
		"beside Authorization":  {0, taskID + ":watch?ticket=$", bearer, invalid, false},
		"beside a user":         {0, taskID + ":watch?ticket=$", []string{"X-User-Id", "1001"}, invalid, false},
		"beside a token for us": {0, taskID + ":watch?ticket=$", []string{"X-Kootask-Authorization", "Bearer a"}, invalid, false},
		"as Authorization":      {0, taskID + ":watch", []string{"Authorization", "Bearer $"}, "CREDENTIAL_REJECTED", true},
	}
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
		for name, row := range rows {
			for _, surface := range []string{ndjson, sse} {
				ticket := s.ticket(t, bearer...)
				time.Sleep(row.after)
				synctest.Wait()
				before := s.koodrive.Count()
				fill := func(text string) string { return strings.ReplaceAll(text, "$", ticket) }
				var header []string
				for _, h := range row.header {
					header = append(header, fill(h))
				}
				resp, body := s.comes(t, surface, fill(row.path), "", header...)
				v := read(t, parseStatus(t, body))
				wantHTTP, asked := 401, 0
				if row.reason == invalid {
					wantHTTP = 400
				} else if row.reason != unknown {
					asked = 1
				}
				if v.reason != row.reason || resp.StatusCode != wantHTTP || v.retry != nil || s.koodrive.Count() != before+asked {
					t.Errorf("%s, %s: HTTP %d, %+v; KooDrive got %d requests", name, surface, resp.StatusCode, v, s.koodrive.Count()-before)
				}
				resp, _ = s.comes(t, surface, taskID, ":watch?ticket="+ticket)
				if left := resp.StatusCode == 200; left != row.left {
					t.Errorf("%s, %s: then HTTP %d", name, surface, resp.StatusCode)
				}
			}
		}
	})
}

// Valid and invalid requests for tickets.
func TestTicketRequests(t *testing.T) {
	path := "/v1/tasks/" + taskID
	for name, row := range map[string]struct {
		method, path, body string
		header             []string
		code               int
		reason, allow      string
	}{
		"without a credential":   {"POST", path + ":ticket", "", nil, 401, "CREDENTIAL_MISSING", ""},
		"a malformed credential": {"POST", path + ":ticket", "", []string{"Authorization", "a\xffb"}, 400, "REQUEST_INVALID", ""},
		"a bad id":               {"POST", "/v1/tasks/a%20b:ticket", "", bearer, 400, "REQUEST_INVALID", ""},
		"a body":                 {"POST", path + ":ticket", "{}", bearer, 400, "REQUEST_INVALID", ""},
		"a parameter":            {"POST", path + ":ticket?maxAge=1s", "", bearer, 400, "REQUEST_INVALID", ""},
		"a token in the URL":     {"POST", path + ":ticket?access_token=" + junk, "", bearer, 400, "REQUEST_INVALID", ""},
		"a ticket for a ticket":  {"POST", path + ":ticket?ticket=a", "", nil, 400, "REQUEST_INVALID", ""},
		"GET":                    {"GET", path + ":ticket", "", bearer, 405, "METHOD_NOT_ALLOWED", "POST"},
		"PUT":                    {"PUT", path + ":ticket", "", bearer, 405, "METHOD_NOT_ALLOWED", "POST"},
		"POST to the task":       {"POST", path, "", bearer, 405, "METHOD_NOT_ALLOWED", "GET"},
		"POST to the watch":      {"POST", path + ":watch", "", bearer, 405, "METHOD_NOT_ALLOWED", "GET"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				r := request(t.Context(), t, row.path)
				r.Method, r.Header = row.method, http.Header{}
				if row.body != "" {
					r, _ = http.NewRequestWithContext(t.Context(), row.method, r.URL.String(), strings.NewReader(row.body))
				}
				for i := 0; i < len(row.header); i += 2 {
					r.Header[row.header[i]] = nil
					r.Header.Add(row.header[i], row.header[i+1])
				}
				resp, body := s.get(t, r)
				v := read(t, parseStatus(t, body))
				if resp.StatusCode != row.code || v.reason != row.reason || resp.Header.Get("Allow") != row.allow {
					t.Errorf("HTTP %d, Allow %q, %+v", resp.StatusCode, resp.Header.Get("Allow"), v)
				}
				if n := s.koodrive.Count(); n != 0 {
					t.Errorf("KooDrive got %d requests", n)
				}
			})
		})
	}
}

// The tickets of one address are limited like its new tasks.
func TestTicketsOfOnePeerAreLimited(t *testing.T) {
	bubble(t, defaultPeers, func(t *testing.T, s *system) {
		for _, many := range []int{burst, newTasks} {
			for range many {
				s.ticket(t, bearer...)
			}
			resp, body := s.post(t, bearer...)
			v := read(t, parseStatus(t, body))
			if resp.StatusCode != 429 || v.reason != "CALLER_LIMIT_REACHED" || v.retry == nil || resp.Header.Get("Retry-After") == "" ||
				v.metadata["limitName"] != "new-tasks-per-peer" || v.metadata["limitValue"] != "20" {
				t.Errorf("HTTP %d, %+v", resp.StatusCode, v)
			}
			time.Sleep(time.Second)
		}
		s.from(t, "198.51.100.1:1").ticket(t, bearer...)
	})
}
