package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// listed returns the values of a list header.
func listed(resp *http.Response, name string) (all []string) {
	for _, value := range resp.Header.Values(name) {
		for one := range strings.SplitSeq(value, ",") {
			all = append(all, strings.ToLower(strings.TrimSpace(one)))
		}
	}
	return all
}

// visits are requests of all kinds, with the status for a page that may read them.
var visits = map[string]struct {
	method, path string
	header       []string
	code         int
}{
	"a task":         {"GET", "/v1/tasks/" + taskID, bearer, 200},
	"a stream":       {"GET", "/v1/tasks/" + taskID + ":watch", append([]string{"Accept", sse}, bearer...), 200},
	"lines":          {"GET", "/v1/tasks/" + taskID + ":watch", bearer, 200},
	"a ticket":       {"POST", "/v1/tasks/" + taskID + ":ticket", bearer, 200},
	"a wait":         {"GET", "/v1/tasks/" + taskID + ":wait", bearer, 200},
	"a list":         {"GET", "/v1/tasks:watch?taskIds=" + taskID, append([]string{"Accept", sse}, bearer...), 200},
	"a list of none": {"GET", "/v1/tasks:watch", bearer, 400},
	"list's ticket":  {"POST", "/v1/tasks:ticket?taskIds=" + taskID, bearer, 200},
	"a list's head":  {"HEAD", "/v1/tasks:watch?taskIds=" + taskID, bearer, 405},
	"the contract":   {"GET", "/openapi.json", nil, 200},
	"an error":       {"GET", "/v1/tasks/unknown", bearer, 404},
	"no credential":  {"GET", "/v1/tasks/" + taskID, nil, 401},
	"a bad request":  {"GET", "/v1/tasks/" + taskID + "?a", bearer, 400},
	"no route":       {"GET", "/nothing", nil, 404},
	"a wrong method": {"POST", "/v1/tasks/" + taskID, bearer, 405},
	"after the end":  {"GET", "/v1/tasks/" + taskID + ":watch", []string{"Accept", sse, "Last-Event-ID", "end"}, 204},
	"a page's head":  {"HEAD", "/openapi.json", nil, 200},
	"options":        {"OPTIONS", "/v1/tasks/" + taskID, nil, 405},
}

// visit makes a request.
func (s *system) visit(t *testing.T, method, path string, header ...string) *http.Response {
	t.Helper()
	r := request(t.Context(), t, path)
	r.Method, r.Header = method, http.Header{}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	resp, _ := s.get(t, r)
	return resp
}

var preflight = []string{"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization"}

// Unless origins are configured, no page may read answers.
func TestPagesOfOthersReadNothing(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
		for name, row := range visits {
			for _, origin := range []string{"https://good.example", "null", "http://kootask.test"} {
				resp := s.visit(t, row.method, row.path, append([]string{"Origin", origin}, row.header...)...)
				if resp.StatusCode != row.code {
					t.Errorf("%s: HTTP %d", name, resp.StatusCode)
				}
				readsNothing(t, name+" for "+origin, resp)
			}
		}
		resp := s.visit(t, "OPTIONS", "/v1/tasks/"+taskID, append([]string{"Origin", "https://good.example"}, preflight...)...)
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("a preflight: HTTP %d", resp.StatusCode)
		}
		readsNothing(t, "a preflight", resp)
	})
}

func readsNothing(t *testing.T, name string, resp *http.Response) {
	t.Helper()
	for header := range resp.Header {
		if strings.HasPrefix(header, "Access-Control-") {
			t.Errorf("%s: %s: %s", name, header, resp.Header.Get(header))
		}
	}
	if !slices.Contains(listed(resp, "Vary"), "origin") {
		t.Errorf("%s: Vary %q", name, listed(resp, "Vary"))
	}
}

// Pages of the configured origins may read all answers, and no other pages.
func TestPagesOfSomeOriginsReadAnswers(t *testing.T) {
	const good, other = "https://good.example", "http://localhost:3000"
	bubble(t, func(c *server.Config) { c.Origins = []string{good, other} }, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
		for name, row := range visits {
			for _, origin := range []string{good, other} {
				resp := s.visit(t, row.method, row.path, append([]string{"Origin", origin}, row.header...)...)
				if got := resp.Header.Values("Access-Control-Allow-Origin"); resp.StatusCode != row.code || !slices.Equal(got, []string{origin}) {
					t.Errorf("%s for %s: HTTP %d, %q", name, origin, resp.StatusCode, got)
				}
				if got := listed(resp, "Access-Control-Expose-Headers"); !slices.Equal(got, []string{"x-request-id", "retry-after"}) {
					t.Errorf("%s: shows %q", name, got)
				}
				if !slices.Contains(listed(resp, "Vary"), "origin") || resp.Header.Get("Access-Control-Allow-Credentials") != "" {
					t.Error(resp.Header)
				}
			}
			for _, origin := range []string{
				"https://evil.example", "null", "", "https://good.example.evil.example", "https://good.exampleevil", "https://good.exampl",
				"https://a.good.example", "https://evilgood.example", "http://good.example", "https://good.example:8443", "https://good.example:443",
				"http://localhost", "http://localhost:30000", "HTTPS://GOOD.EXAMPLE", "https://Good.example", "https://good.example/", "https://good.example,null",
				"*",
			} {
				resp := s.visit(t, row.method, row.path, append([]string{"Origin", origin}, row.header...)...)
				if resp.StatusCode != row.code {
					t.Errorf("%s for %q: HTTP %d", name, origin, resp.StatusCode)
				}
				readsNothing(t, name+" for "+origin, resp)
				readsNothing(t, "a preflight for "+origin, s.visit(t, "OPTIONS", row.path, append([]string{"Origin", origin}, preflight...)...))
			}
		}
	})
}

// In the demonstration, pages of this machine may read all answers, whatever their port.
func TestPagesOfThisMachineReadAnswers(t *testing.T) {
	bubble(t, func(c *server.Config) { c.LocalOrigins = true }, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
		for name, row := range visits {
			for origin, reads := range map[string]bool{
				"http://localhost:5173": true, "http://localhost": true, "https://localhost:8443": true, "http://127.0.0.1:3000": true, "http://[::1]:3000": true,
				"null": false, "http://localhost.evil.example": false, "http://evil.example": false, "http://127.0.0.1.evil.example": false, "file://": false,
				"http://192.0.2.1": false, "http://0.0.0.0:3000": false, "http://localhost:5173/": false, "HTTP://localhost:5173": false, "": false,
			} {
				resp := s.visit(t, row.method, row.path, append([]string{"Origin", origin}, row.header...)...)
				if !reads {
					readsNothing(t, name+" for "+origin, resp)
				} else if got := resp.Header.Values("Access-Control-Allow-Origin"); resp.StatusCode != row.code || !slices.Equal(got, []string{origin}) {
					t.Errorf("%s for %s: HTTP %d, %q", name, origin, resp.StatusCode, got)
				}
			}
		}
	})
}

// A preflight allows exactly the methods and headers that kootask reads.
func TestPreflights(t *testing.T) {
	const good = "https://good.example"
	for name, row := range map[string]struct {
		method, headers string // As browsers write them: lower case and sorted.
		allowed         bool
	}{
		"none":              {"GET", "", true},
		"the credential":    {"GET", "authorization", true},
		"a token":           {"POST", "authorization,x-kootask-authorization", true},
		"all":               {"GET", "accept,authorization,grpc-timeout,language,last-event-id,traceparent,x-date,x-kootask-authorization,x-request-id,x-user-id", true},
		"an event source":   {"GET", "authorization,cache-control,last-event-id", true},
		"tracing":           {"GET", "authorization,traceparent,tracestate", true},
		"an address":        {"GET", "x-forwarded-for", false},
		"a cookie's":        {"GET", "x-xsrf-token", false},
		"one of them not":   {"GET", "authorization,x-forwarded-for", false},
		"a body's":          {"POST", "content-type", false},
		"one of no meaning": {"GET", "kootask-caller", false},
		"deleting":          {"DELETE", "", false},
		"putting":           {"PUT", "authorization", false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(c *server.Config) { c.Origins = []string{good} }, func(t *testing.T, s *system) {
				header := []string{"Origin", good, "Access-Control-Request-Method", row.method, "Access-Control-Request-Private-Network", "true"}
				if row.headers != "" {
					header = append(header, "Access-Control-Request-Headers", row.headers)
				}
				resp := s.visit(t, "OPTIONS", "/v1/tasks/"+taskID, header...)
				if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Credentials") != "" ||
					resp.Header.Get("Access-Control-Allow-Private-Network") != "" {
					t.Errorf("HTTP %d, %v", resp.StatusCode, resp.Header)
				}
				if n := s.koodrive.Count(); n != 0 {
					t.Errorf("KooDrive got %d requests", n)
				}
				if !row.allowed {
					readsNothing(t, name, resp)
					return
				}
				if resp.Header.Get("Access-Control-Allow-Origin") != good || resp.Header.Get("Access-Control-Allow-Methods") != row.method ||
					resp.Header.Get("Access-Control-Allow-Headers") != row.headers || resp.Header.Get("Access-Control-Max-Age") == "" {
					t.Error(resp.Header)
				}
			})
		})
	}
}
