package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// direct answers requests with a handler of this process.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

const issuerURL = "http://127.0.0.1:1"

// withTokens makes a server require tokens of an issuer.
func withTokens(c *server.Config) (issuer *issuertest.Issuer) {
	issuer = issuertest.New(issuerURL)
	c.Auth.Tokens = &auth.TokensConfig{Issuer: issuerURL, Audience: issuertest.Audience, Transport: direct{issuer}}
	return issuer
}

// Callers who need a token for calls need it for a ticket too, and the ticket is valid no longer than the token.
func TestTicketsDoNotOutliveTokens(t *testing.T) {
	var issuer *issuertest.Issuer
	bubble(t, func(c *server.Config) { issuer = withTokens(c) }, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		header := func(caller string) []string { return append([]string{"X-Kootask-Authorization", caller}, bearer...) }
		forged := "Bearer " + issuer.Token(map[string]any{"sub": "alice"}, issuertest.Forged())
		for _, bad := range [][]string{bearer, header("Bearer " + junk), header(forged)} {
			resp, body := s.post(t, bad...)
			if v := read(t, parseStatus(t, body)); resp.StatusCode != 401 || v.reason != "CALLER_UNAUTHENTICATED" {
				t.Errorf("HTTP %d, %+v", resp.StatusCode, v)
			}
		}
		token := func(lasts time.Duration) []string {
			return header("Bearer " + issuer.Token(map[string]any{"sub": "alice", "exp": time.Now().Add(lasts).Unix()}))
		}
		late, long := s.ticket(t, token(10*time.Second)...), s.ticket(t, token(20*time.Second)...)
		time.Sleep(10 * time.Second)
		for _, surface := range []string{ndjson, sse} {
			resp, body := s.comes(t, surface, taskID, ":watch?ticket="+late)
			if v := read(t, parseStatus(t, body)); resp.StatusCode != 401 || v.reason != "CALLER_UNAUTHENTICATED" {
				t.Errorf("%s, when the token is over: HTTP %d, %+v", surface, resp.StatusCode, v)
			}
		}
		if n := s.koodrive.Count(); n != 0 {
			t.Errorf("KooDrive got %d requests", n)
		}
		start := time.Now()
		_, body := s.comes(t, ndjson, taskID, ":watch?ticket="+long)
		if got := time.Since(start); got != 10*time.Second || !strings.Contains(body, "CALLER_UNAUTHENTICATED") {
			t.Errorf("the watch ended after %v: %s", got, body)
		}
	})
}

// A ticket is checked against the policy when it is used, not when it was issued.
func TestTicketsDoNotOutliveThePolicy(t *testing.T) {
	var issuer *issuertest.Issuer
	var policy atomic.Pointer[auth.Policy]
	allow := func(user string) {
		parsed, err := auth.ParsePolicy([]byte("callers: [{claims: {sub: alice}, users: [\"" + user + "\"]}]"))
		if err != nil {
			t.Fatal(err)
		}
		policy.Store(parsed)
	}
	allow("1001")
	bubble(t, func(c *server.Config) {
		issuer = withTokens(c)
		appMode("s3cr3t")(c)
		c.Auth.Policy = policy.Load
	}, func(t *testing.T, s *system) {
		s.koodrive.AddApp("app", "s3cr3t")
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
		owner := []string{"X-Kootask-Authorization", "Bearer " + issuer.Token(map[string]any{"sub": "alice"}), "X-User-Id", "1001"}
		first, second := s.ticket(t, owner...), s.ticket(t, owner...)
		allow("1002")
		resp, body := s.comes(t, sse, taskID, ":watch?ticket="+second)
		if v := read(t, parseStatus(t, body)); resp.StatusCode != 403 || v.code != codes.PermissionDenied || v.reason != "USER_NOT_ALLOWED" {
			t.Errorf("HTTP %d, %+v", resp.StatusCode, v)
		}
		if resp, body := s.post(t, owner...); resp.StatusCode != 403 {
			t.Errorf("HTTP %d, %s", resp.StatusCode, body)
		}
		if n := s.koodrive.Count(); n != 0 {
			t.Errorf("KooDrive got %d requests", n)
		}
		allow("1001")
		if resp, body := s.comes(t, sse, taskID, ":watch?ticket="+first); resp.StatusCode != 200 {
			t.Errorf("HTTP %d, %s", resp.StatusCode, body)
		}
	})
}
