package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
)

// direct reaches an issuer without a connection.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	d.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

// No input causes a panic, and only a token that the issuer has made is accepted, letter by letter. Each input is tried as it is,
// and in place of each part of a valid token.
func FuzzVerify(f *testing.F) {
	issuer := issuertest.New(issuerURL)
	tokens, err := auth.NewTokens(auth.TokensConfig{Issuer: issuerURL, Audience: issuertest.Audience, Transport: direct{issuer}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(tokens.Close)
	made := map[string]bool{}
	var good [][]string
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		token := issuer.Token(alice("exp", 99999999999), issuertest.Alg(alg))
		made[token] = true
		good = append(good, strings.Split(token, "."))
		f.Add(token)
		for _, part := range strings.Split(token, ".") {
			f.Add(part)
			plain, _ := base64.RawURLEncoding.DecodeString(part)
			f.Add(string(plain))
		}
	}
	for _, token := range brokenTokens(issuer) {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tried := []string{text}
		for _, parts := range good {
			for i := range parts {
				for _, part := range []string{text, base64.RawURLEncoding.EncodeToString([]byte(text))} {
					changed := append([]string(nil), parts...)
					changed[i] = part
					tried = append(tried, strings.Join(changed, "."))
				}
			}
		}
		for _, token := range tried {
			claims, _, err := tokens.Verify(t.Context(), token)
			if got := outcome(t, err); got == unavailable || (got == ok) != made[token] {
				t.Errorf("%q: %s, made by the issuer: %v", token, got, made[token])
			}
			if err == nil && claims["sub"] != "alice" {
				t.Errorf("%q is of %v", token, claims["sub"])
			}
		}
	})
}

// Whatever an issuer publishes as a key, nothing panics, and its other key works.
func FuzzKeys(f *testing.F) {
	issuer := issuertest.New(issuerURL)
	for _, k := range issuer.KeySet() {
		raw, _ := json.Marshal(k)
		f.Add(string(raw))
	}
	for _, k := range oddKeys {
		raw, _ := json.Marshal(k)
		f.Add(string(raw))
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw := json.RawMessage(text)
		if !json.Valid(raw) {
			return
		}
		issuer.Handle(issuertest.Keys, issuertest.JSON(map[string]any{"keys": []any{raw, jwk(issuer, "EdDSA")}}))
		tokens, err := auth.NewTokens(auth.TokensConfig{Issuer: issuerURL, Audience: issuertest.Audience, Transport: direct{issuer}})
		if err != nil {
			t.Fatal(err)
		}
		defer tokens.Close()
		if got := verify(t, tokens, issuer.Token(alice(), issuertest.Alg("EdDSA"))); got != ok {
			t.Errorf("beside %s, the other key: %s", text, got)
		}
		for _, alg := range []string{"RS256", "ES256"} {
			_ = verify(t, tokens, issuer.Token(alice(), issuertest.Alg(alg)))
		}
	})
}
