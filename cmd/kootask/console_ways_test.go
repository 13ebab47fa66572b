package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/security"

	"github.com/kootask/kootask/service/auth/issuertest"
)

// With the page off, none of its files is served.
func TestConsoleIsOff(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "--console=false")
	for _, path := range []string{"", "console/main.js", "console/reasons.js", "console/demo.js", "docs", "docs/init.js"} {
		resp, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		var body struct{ Details []struct{ Reason string } }
		err = json.NewDecoder(resp.Body).Decode(&body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusNotFound || body.Details[0].Reason != "ROUTE_NOT_FOUND" {
			t.Errorf("/%s: %v, %v, %v", path, resp.Status, body, err)
		}
	}
}

// Where kootask signs for an app, the page asks for a user's id instead of a token.
func TestConsoleForAnApp(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "--upstream-auth=app", "--app-id=orders", "--app-secret-file="+file(t, "geheim"))
	s.koodrive.AddApp("orders", "geheim")
	id := s.setMany(1)[0]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.push(t, byRole("button", "Other credentials"))
	p.enter(t, byRole("textbox", "KooDrive user id"), "1395497048157130881")
	p.enter(t, byRole("textbox", "Task ids"), id)
	p.push(t, byRole("button", "Watch"))
	p.becomes(t, id, inStatus, "EXECUTING")
	for _, r := range s.koodrive.Requests() {
		if user := r.Header.Get("X-User-Id"); user != "1395497048157130881" {
			t.Errorf("KooDrive got a request for user %q", user)
		}
	}
}

// Where kootask authenticates callers, the page has a field for their token.
func TestConsoleForKnownCallers(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(nil)
	issuer := issuertest.New("https://" + server.Listener.Addr().String())
	server.Config.Handler, server.TLS = issuer, presents(serverAuthority.Server("127.0.0.1"))
	server.StartTLS()
	t.Cleanup(server.Close)
	trust := []string{"SSL_CERT_FILE=" + serverAuthority.WriteFile(t.TempDir())}
	s := newSite(t, trust, "--oidc-issuer="+issuer.URL(), "--oidc-audience="+issuertest.Audience)
	id := s.setMany(1)[0]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.expects(`^log: network: .* 401 .*` + id)
	p.watch(t, pageToken, id)
	p.becomes(t, id, inWatch, "Ended: ")
	if says := p.details(t, id); !strings.Contains(says, "CALLER_UNAUTHENTICATED") {
		t.Errorf("it says %q", says)
	}
	p.push(t, byRole("button", "Close"))
	p.unfold(t)
	p.push(t, byRole("button", "Other credentials"))
	p.enter(t, byRole("textbox", "Your token for kootask"), issuer.Token(map[string]any{"sub": "alice"}))
	p.push(t, byRole("button", "Watch again: "+id))
	p.becomes(t, id, inStatus, "EXECUTING")
	p.looks(t, "other-credentials")
}

// Over TLS a browser uses HTTP/2, and no task waits for a turn.
func TestConsoleOverTLS(t *testing.T) {
	t.Parallel()
	cert, key := serverAuthority.Server("127.0.0.1").WriteFiles(t.TempDir())
	s := newSite(t, nil, "--tls-cert="+cert, "--tls-key="+key)
	trust := command(security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
	p := openTab(t, strings.Replace(s.url, "http:", "https:", 1), trust)
	defer p.judge(t)
	if protocol := eval[string](t, p, `performance.getEntriesByType('navigation')[0].nextHopProtocol`); protocol != "h2" {
		t.Errorf("it came over %s", protocol)
	}
	ids := s.setMany(30)
	for i, id := range ids[:6] { // Each credential has a stream of its own.
		token := fmt.Sprint(pageToken, i)
		s.koodrive.AddToken(token, 0)
		p.watch(t, token, id)
	}
	p.watch(t, pageToken, ids[6:]...)
	for _, id := range ids {
		p.becomes(t, id, inWatch, "Live")
		p.becomes(t, id, inStatus, "EXECUTING")
	}
	p.push(t, byRole("button", "Stop all"))
	s.settles(t)
}
