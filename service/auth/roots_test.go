package auth

import (
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/kootask/kootask/service/auth/issuertest"
)

// Each fetch uses the roots that are trusted at that moment, over a new connection.
func TestIssuersCertificateIsJudgedAtEachFetch(t *testing.T) {
	var issuer *issuertest.Issuer
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { issuer.ServeHTTP(w, r) }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	issuer = issuertest.New(server.URL)
	trusted, roots := x509.NewCertPool(), x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	s, err := newSource(TokensConfig{Issuer: server.URL, RootCAs: func() *x509.CertPool { return roots }})
	if err != nil {
		t.Fatal(err)
	}
	for _, good := range []bool{false, true, true, false, true} {
		if roots = x509.NewCertPool(); good {
			roots = trusted
		}
		if keys, err := s.fetch(t.Context()); (err == nil) != good || len(keys) > 0 != good || err != nil && !strings.Contains(err.Error(), "certificate") {
			t.Errorf("trusted %v: %d keys, %v", good, len(keys), err)
		}
	}
}

// The issuer is reached only through the configured proxy, over https as well. The proxy's refusal is reported as the proxy's.
func TestIssuerBehindAProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	const host = "127.0.0.1:2" // Nothing listens there.
	issuer := issuertest.New("http://" + host)
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Host)
		if user, _, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth(); user != "kootask" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		issuer.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	for _, row := range []struct{ scheme, user, cause string }{
		{"http", "kootask", ""}, {"http", "nobody", "the status is 407"}, {"https", "nobody", "the proxy's status is 407"},
	} {
		u, _ := url.Parse(proxy.URL)
		u.User = url.UserPassword(row.user, "geheim")
		s, err := newSource(TokensConfig{Issuer: row.scheme + "://" + host, Proxy: u})
		if err != nil {
			t.Fatal(err)
		}
		asked = nil
		keys, err := s.fetch(t.Context())
		if row.cause == "" && (err != nil || len(keys) == 0) || row.cause != "" && (err == nil || !strings.Contains(err.Error(), row.cause)) {
			t.Errorf("%+v: %d keys, %v", row, len(keys), err)
		}
		if len(asked) == 0 || asked[0] != host || err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%+v: the proxy was asked for %q: %v", row, asked, err)
		}
	}
}
