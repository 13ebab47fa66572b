// Package issuertest is an issuer of tokens for tests, as OpenID Connect has them: it publishes its discovery document and
// its keys over HTTP, signs tokens, also bad ones, and tells when it was asked for what. It logs nobody in.
//
//	issuer := issuertest.New("https://issuer.test")
//	listener := koodrivetest.Listen()
//	go http.Serve(listener, issuer)
//	token := issuer.Token(map[string]any{"sub": "alice"})
//
// It works in a testing/synctest bubble: it starts no goroutine, and waits for nothing but a request's end.
package issuertest

import (
	"crypto"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Paths of what an issuer publishes, below its URL.
const (
	Discovery = "/.well-known/openid-configuration"
	Keys      = "/keys"
)

// Audience is whom tokens are for unless a claim says otherwise.
const Audience = "kootask"

// Issuer issues tokens. It is safe for concurrent use. Make one with [New].
type Issuer struct {
	url, prefix string

	mu       sync.Mutex
	keys     map[family]signer           // Guarded by mu.
	handlers map[string]http.HandlerFunc // By path; empty for all. Guarded by mu.
	fetches  map[string][]time.Time      // By path. Guarded by mu.
}

// New returns an Issuer with a key of each kind, which is known by url: what tokens name as iss. It panics if that is not
// a URL. A slash at the end of it belongs to the name, and not to the paths.
func New(name string) *Issuer {
	u, err := url.Parse(name)
	if err != nil {
		panic(err)
	}
	i := &Issuer{
		url: name, prefix: strings.TrimSuffix(u.Path, "/"),
		handlers: map[string]http.HandlerFunc{}, fetches: map[string][]time.Time{},
	}
	i.Rotate()
	return i
}

// URL returns what tokens name as iss.
func (i *Issuer) URL() string { return i.url }

// KeysURL returns where the keys are, as discovery says it.
func (i *Issuer) KeysURL() string { return strings.TrimSuffix(i.url, "/") + Keys }

// Rotate replaces all keys: from now on the new ones sign, and they alone are published. The RSA key gets only a new id,
// since making one takes long.
func (i *Issuer) Rotate() {
	keys := newKeys()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// Replace gives the key that signs tokens with this alg another value under the id that it has.
func (i *Issuer) Replace(alg string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.keys[algorithms[alg]]
	s.key = newKey(s.family, newRSA)
	i.keys[s.family] = s
}

// Handle answers requests for a path with h from now on, and for every path without one if path is empty. Nil gives the
// Issuer's own answers back.
func (i *Issuer) Handle(path string, h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.handlers[path] = h
}

// Fetches returns when a path was asked for, also in vain.
func (i *Issuer) Fetches(path string) []time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]time.Time(nil), i.fetches[path]...)
}

// ServeHTTP answers for the Issuer.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, i.prefix)
	i.mu.Lock()
	i.fetches[path] = append(i.fetches[path], time.Now())
	handler := i.handlers[path]
	if handler == nil {
		handler = i.handlers[""]
	}
	i.mu.Unlock()
	switch {
	case handler != nil:
		handler(w, r)
	case path == Discovery:
		JSON(i.DiscoveryDocument())(w, r)
	case path == Keys:
		JSON(map[string]any{"keys": i.KeySet()})(w, r)
	default:
		http.NotFound(w, r)
	}
}

// DiscoveryDocument returns what is published at [Discovery]. It is the caller's to change.
func (i *Issuer) DiscoveryDocument() map[string]any {
	return map[string]any{"issuer": i.url, "jwks_uri": i.KeysURL(), "response_types_supported": []string{"code"}}
}

// KeySet returns the keys that are published at [Keys], as JWKs. They are the caller's to change.
func (i *Issuer) KeySet() []map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	set := make([]map[string]any, 0, len(families))
	for _, f := range families {
		set = append(set, i.keys[f].jwk())
	}
	return set
}

// PublicKey returns the public key that tokens with this alg are verified with.
func (i *Issuer) PublicKey(alg string) crypto.PublicKey { return i.signer(alg).key.Public() }

// KeyID returns the id of the key that signs tokens with this alg.
func (i *Issuer) KeyID(alg string) string { return i.signer(alg).id }

func (i *Issuer) signer(alg string) signer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[algorithms[alg]]
}

// JSON answers with v. It panics if v cannot be written so.
func JSON(v any) http.HandlerFunc {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}
}

// Status answers with an HTTP status and nothing else.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// Hang answers nothing until the client has left.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
