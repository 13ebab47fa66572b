// Package issuertest is an OpenID Connect token issuer for tests. It serves its discovery document and keys over HTTP,
// signs valid and invalid tokens, and records its requests. It has no login.
//
//	issuer := issuertest.New("https://issuer.test")
//	listener := koodrivetest.Listen()
//	go http.Serve(listener, issuer)
//	token := issuer.Token(map[string]any{"sub": "alice"})
//
// It works in a testing/synctest bubble: it starts no goroutine and blocks only until a request's end.
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

// Paths of the issuer's documents, below its URL.
const (
	Discovery = "/.well-known/openid-configuration"
	Keys      = "/keys"
)

// Audience is the aud of tokens, unless a claim replaces it.
const Audience = "kootask"

// Issuer issues tokens. It is safe for concurrent use. Make one with [New].
type Issuer struct {
	url, prefix string

	mu       sync.Mutex
	keys     map[family]signer           // Guarded by mu.
	handlers map[string]http.HandlerFunc // By path; empty for all. Guarded by mu.
	fetches  map[string][]time.Time      // By path. Guarded by mu.
}

// New returns an Issuer with a key of each kind. name is the URL that tokens have as iss; New panics if it is not a
// URL. A slash at its end belongs to the name, but not to the paths.
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

// URL returns the iss of the tokens.
func (i *Issuer) URL() string { return i.url }

// KeysURL returns the URL of the keys, as in the discovery document.
func (i *Issuer) KeysURL() string { return strings.TrimSuffix(i.url, "/") + Keys }

// Rotate replaces all keys: only the new ones sign and are published. The RSA key only gets a new id, because
// generating one is slow.
func (i *Issuer) Rotate() {
	keys := newKeys()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

// Replace replaces the value, but not the id, of the key that signs tokens with this alg.
func (i *Issuer) Replace(alg string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := i.keys[algorithms[alg]]
	s.key = newKey(s.family, newRSA)
	i.keys[s.family] = s
}

// Handle makes h answer the requests for a path; an empty path stands for all paths without a handler. Nil restores the
// Issuer's own answers.
func (i *Issuer) Handle(path string, h http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.handlers[path] = h
}

// Fetches returns the times of the requests for a path, failed ones included.
func (i *Issuer) Fetches(path string) []time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]time.Time(nil), i.fetches[path]...)
}

// ServeHTTP serves the Issuer's documents.
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

// DiscoveryDocument returns a new copy of the document at [Discovery].
func (i *Issuer) DiscoveryDocument() map[string]any {
	return map[string]any{"issuer": i.url, "jwks_uri": i.KeysURL(), "response_types_supported": []string{"code"}}
}

// KeySet returns a new copy of the keys at [Keys], as JWKs.
func (i *Issuer) KeySet() []map[string]any {
	i.mu.Lock()
	defer i.mu.Unlock()
	set := make([]map[string]any, 0, len(families))
	for _, f := range families {
		set = append(set, i.keys[f].jwk())
	}
	return set
}

// PublicKey returns the public key that verifies tokens with this alg.
func (i *Issuer) PublicKey(alg string) crypto.PublicKey { return i.signer(alg).key.Public() }

// KeyID returns the id of the key that signs tokens with this alg.
func (i *Issuer) KeyID(alg string) string { return i.signer(alg).id }

func (i *Issuer) signer(alg string) signer {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.keys[algorithms[alg]]
}

// JSON returns a handler that answers with v. It panics if v cannot be marshalled.
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

// Status returns a handler that answers with an HTTP status and no body.
func Status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// Hang is a handler that does not answer until the client has left.
func Hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
