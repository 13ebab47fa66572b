package auth_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
)

// slowly answers as the issuer does, later.
func slowly(issuer *issuertest.Issuer, delay time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
		if strings.HasSuffix(r.URL.Path, issuertest.Keys) {
			issuertest.JSON(map[string]any{"keys": issuer.KeySet()})(w, r)
			return
		}
		issuertest.JSON(issuer.DiscoveryDocument())(w, r)
	}
}

// large answers with document, padded with spaces to a size.
func large(document any, length int) http.HandlerFunc {
	body, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(body)
		_, _ = w.Write(bytes.Repeat([]byte(" "), length-len(body)))
	}
}

// zipped answers like large, compressed to almost nothing.
func zipped(coding string, document any, length int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		large(document, length)(recorder, r)
		w.Header().Set("Content-Encoding", coding)
		z := gzip.NewWriter(w)
		_, _ = z.Write(recorder.Body.Bytes())
		_ = z.Close()
	}
}

// drip answers with a space per second for a minute.
func drip(w http.ResponseWriter, r *http.Request) {
	for range 60 {
		_, _ = w.Write([]byte(" "))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
			return
		}
	}
}

// redirect leads to the right answer.
func redirect(to http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery != "" {
			to(w, r)
			return
		}
		http.Redirect(w, r, "?moved", http.StatusFound)
	}
}

// with is the discovery document with one member changed.
func with(i *issuertest.Issuer, name string, value any) map[string]any {
	document := i.DiscoveryDocument()
	document[name] = value
	return document
}

func TestIssuerAnswers(t *testing.T) {
	type handlers func(i *issuertest.Issuer) map[string]http.HandlerFunc
	discovery := func(h func(i *issuertest.Issuer) http.HandlerFunc) handlers {
		return func(i *issuertest.Issuer) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{issuertest.Discovery: h(i)}
		}
	}
	document := func(name string, value any) handlers {
		return discovery(func(i *issuertest.Issuer) http.HandlerFunc { return issuertest.JSON(with(i, name, value)) })
	}
	keys := func(h func(set any) http.HandlerFunc) handlers {
		return func(i *issuertest.Issuer) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{issuertest.Keys: h(map[string]any{"keys": i.KeySet()})}
		}
	}
	text := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	for name, row := range map[string]struct {
		url      string // issuerURL if empty.
		handlers handlers
		want     string
		cause    string // Empty if the token is accepted.
		took     time.Duration
	}{
		"as it should be":               {want: ok},
		"a slash ends the issuer":       {url: issuerURL + "/", want: ok},
		"no path":                       {url: "https://issuer.test", want: ok},
		"http on loopback":              {url: "http://127.0.0.1:8080/realm", want: ok},
		"keys elsewhere":                {handlers: document("jwks_uri", "https://keys.test/realm/keys"), want: ok},
		"keys with a query":             {handlers: document("jwks_uri", issuerURL+"/keys?set=1"), want: ok},
		"discovery, as large as it may": {handlers: discovery(func(i *issuertest.Issuer) http.HandlerFunc { return large(i.DiscoveryDocument(), auth.MaxDocument) }), want: ok},
		"keys, as large as they may":    {handlers: keys(func(set any) http.HandlerFunc { return large(set, auth.MaxDocument) }), want: ok},
		"keys, compressed":              {handlers: keys(func(set any) http.HandlerFunc { return zipped("gzip", set, auth.MaxDocument) }), want: ok},
		"keys, called x-gzip":           {handlers: keys(func(set any) http.HandlerFunc { return zipped("X-GZIP", set, auth.MaxDocument) }), want: ok},
		"discovery, called x-gzip": {handlers: discovery(func(i *issuertest.Issuer) http.HandlerFunc {
			return zipped("x-gzip", i.DiscoveryDocument(), auth.MaxDocument)
		}), want: ok},

		"discovery of another issuer": {handlers: document("issuer", "https://other.test"), cause: "another issuer's"},
		"discovery with a slash more": {handlers: document("issuer", issuerURL+"/"), cause: "another issuer's"},
		"discovery with a slash less": {url: issuerURL + "/", handlers: document("issuer", issuerURL), cause: "another issuer's"},
		"discovery without issuer":    {handlers: document("issuer", nil), cause: "another issuer's"},
		"discovery with a number":     {handlers: document("issuer", 1), cause: "JSON"},
		"discovery that is HTML":      {handlers: discovery(func(*issuertest.Issuer) http.HandlerFunc { return text("<html>") }), cause: "JSON"},
		"discovery that is empty":     {handlers: discovery(func(*issuertest.Issuer) http.HandlerFunc { return text("") }), cause: "JSON"},
		"discovery that is too large": {handlers: discovery(func(i *issuertest.Issuer) http.HandlerFunc {
			return large(i.DiscoveryDocument(), auth.MaxDocument+1)
		}), cause: "1048576 bytes"},
		"discovery moved":                   {handlers: discovery(func(i *issuertest.Issuer) http.HandlerFunc { return redirect(issuertest.JSON(i.DiscoveryDocument())) }), cause: "status is 302"},
		"discovery is not there":            {handlers: discovery(func(*issuertest.Issuer) http.HandlerFunc { return issuertest.Status(404) }), cause: "status is 404"},
		"discovery with another status":     {handlers: discovery(func(*issuertest.Issuer) http.HandlerFunc { return issuertest.Status(204) }), cause: "status is 204"},
		"discovery hangs":                   {handlers: discovery(func(*issuertest.Issuer) http.HandlerFunc { return issuertest.Hang }), cause: "deadline", took: auth.FetchTimeout},
		"discovery drips":                   {handlers: discovery(func(*issuertest.Issuer) http.HandlerFunc { return drip }), cause: "deadline", took: auth.FetchTimeout},
		"no jwks_uri":                       {handlers: document("jwks_uri", nil), cause: "jwks_uri"},
		"jwks_uri that is a path":           {handlers: document("jwks_uri", "/realm/keys"), cause: "jwks_uri"},
		"jwks_uri by http":                  {handlers: document("jwks_uri", "http://issuer.test/realm/keys"), cause: "jwks_uri"},
		"jwks_uri by http on loopback":      {handlers: document("jwks_uri", "http://127.0.0.1/realm/keys"), cause: "jwks_uri"},
		"jwks_uri with a user":              {handlers: document("jwks_uri", "https://a:geheim@issuer.test/realm/keys"), cause: "jwks_uri"},
		"jwks_uri of a file":                {handlers: document("jwks_uri", "file:///etc/passwd"), cause: "jwks_uri"},
		"jwks_uri by http, plain issuer":    {url: "http://localhost/realm", handlers: document("jwks_uri", "http://issuer.test/realm/keys"), cause: "jwks_uri"},
		"keys that are HTML":                {handlers: keys(func(any) http.HandlerFunc { return text("<html>") }), cause: "JSON"},
		"keys that are too large":           {handlers: keys(func(set any) http.HandlerFunc { return large(set, auth.MaxDocument+1) }), cause: "1048576 bytes"},
		"keys that are large when unpacked": {handlers: keys(func(set any) http.HandlerFunc { return zipped("gzip", set, 10*auth.MaxDocument) }), cause: "1048576 bytes"},
		"keys that are large, x-gzip":       {handlers: keys(func(set any) http.HandlerFunc { return zipped("x-gzip", set, 10*auth.MaxDocument) }), cause: "1048576 bytes"},
		"keys moved":                        {handlers: keys(func(set any) http.HandlerFunc { return redirect(issuertest.JSON(set)) }), cause: "status is 302"},
		"keys hang":                         {handlers: keys(func(any) http.HandlerFunc { return issuertest.Hang }), cause: "deadline", took: auth.FetchTimeout},
		"keys drip":                         {handlers: keys(func(any) http.HandlerFunc { return drip }), cause: "deadline", took: auth.FetchTimeout},
		"no keys":                           {handlers: keys(func(any) http.HandlerFunc { return text(`{"keys":[]}`) }), cause: "no usable key"},
		"null":                              {handlers: keys(func(any) http.HandlerFunc { return text(`null`) }), cause: "no usable key"},
		"both are slow": {handlers: func(i *issuertest.Issuer) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{"": slowly(i, 3*time.Second)}
		}, want: ok, took: 6 * time.Second},
		"both are too slow": {handlers: func(i *issuertest.Issuer) map[string]http.HandlerFunc {
			return map[string]http.HandlerFunc{"": slowly(i, auth.FetchTimeout+time.Second)}
		}, cause: "deadline", took: auth.FetchTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if row.url == "" {
					row.url = issuerURL
				}
				issuer := issuertest.New(row.url)
				tokens := verifier(t, issuer, auth.TokensConfig{})
				if row.handlers != nil {
					for path, h := range row.handlers(issuer) {
						issuer.Handle(path, h)
					}
				}
				begin := time.Now()
				_, _, err := tokens.Verify(t.Context(), issuer.Token(alice()))
				got, took := outcome(t, err), time.Since(begin)
				if row.cause != "" {
					row.want = unavailable
				}
				if got != row.want || took != row.took || err != nil && !strings.Contains(err.Error(), row.cause) {
					t.Errorf("%v after %v; want %s for %q after %v", err, took, row.want, row.cause, row.took)
				}
				if err != nil && strings.Contains(err.Error(), "geheim") {
					t.Errorf("a secret: %v", err)
				}
			})
		})
	}
}

// The default transport reaches a loopback issuer in plaintext, and refuses one with an untrusted certificate. It leaves no
// connection open.
func TestOwnTransport(t *testing.T) {
	for scheme, row := range map[string]struct {
		start       func(*httptest.Server)
		want, cause string
	}{
		"http":  {start: (*httptest.Server).Start, want: ok},
		"https": {start: (*httptest.Server).StartTLS, want: unavailable, cause: "certificate"},
	} {
		t.Run(scheme, func(t *testing.T) {
			var issuer *issuertest.Issuer
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { issuer.ServeHTTP(w, r) }))
			closed := make(chan struct{}, 10)
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					closed <- struct{}{}
				}
			}
			row.start(server)
			issuer = issuertest.New(server.URL)
			tokens, err := auth.NewTokens(auth.TokensConfig{Issuer: server.URL, Audience: issuertest.Audience})
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = tokens.Verify(t.Context(), issuer.Token(alice()))
			if got := outcome(t, err); got != row.want || err != nil && !strings.Contains(err.Error(), row.cause) {
				t.Errorf("%v", err)
			}
			select {
			case <-closed:
			case <-time.After(auth.FetchTimeout - time.Second):
				t.Error("an idle connection outlives the fetch")
			}
			tokens.Close()
			server.Close()
		})
	}
}
