package auth_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
)

// jwk returns the key that verifies tokens with an alg, with some members changed; nil leaves one out.
func jwk(i *issuertest.Issuer, alg string, members ...any) map[string]any {
	var found map[string]any
	for _, k := range i.KeySet() {
		if k["kid"] == i.KeyID(alg) {
			found = k
		}
	}
	for i := 0; i < len(members); i += 2 {
		found[members[i].(string)] = members[i+1]
	}
	maps.DeleteFunc(found, func(_ string, value any) bool { return value == nil })
	return found
}

// oddKeys verify no token, and must not affect the other keys.
var oddKeys = []any{
	nil, 1, "geheim", []any{}, map[string]any{}, map[string]any{"kty": 1},
	map[string]any{"kty": "AKP", "kid": "later", "alg": "ML-DSA-65", "pub": "AAAA"},
	map[string]any{"kty": "oct", "kid": "secret", "k": "AAAA"},
	map[string]any{"kty": "EC", "kid": "curve", "crv": "secp256k1", "x": "AA", "y": "AA"},
	map[string]any{"kty": "EC", "kid": "point", "crv": "P-256", "x": "AA", "y": "AA"},
	map[string]any{"kty": "OKP", "kid": "x", "crv": "X25519", "x": strings.Repeat("A", 43)},
	map[string]any{"kty": "OKP", "kid": "short", "crv": "Ed25519", "x": "AA"},
	map[string]any{"kty": "RSA", "kid": "e", "n": strings.Repeat("_", 342), "e": "AA"},
	map[string]any{"kty": "RSA", "kid": "n", "n": "", "e": "AQAB"},
	map[string]any{"kty": "RSA", "kid": "short", "n": strings.Repeat("_", 340), "e": "AQAB"},
	map[string]any{"kty": "RSA", "kid": "long", "n": strings.Repeat("_", 3000), "e": "AQAB"},
}

func TestWhichKeysAreUsed(t *testing.T) {
	lie := func(alg string) issuertest.Option { return issuertest.Header("alg", alg) }
	for name, row := range map[string]struct {
		alg     string
		change  []any // Of the key for alg.
		options []issuertest.Option
		want    string
	}{
		"unchanged":                  {alg: "RS256", want: ok},
		"RSA for one alg":            {alg: "RS256", change: []any{"alg", "RS256"}, want: ok},
		"RSA for another alg":        {alg: "PS256", change: []any{"alg", "RS256"}, want: notAuthenticated},
		"RSA for any":                {alg: "PS512", want: ok},
		"RSA for encryption, by alg": {alg: "RS256", change: []any{"alg", "RSA-OAEP"}, want: notAuthenticated},
		"no use":                     {alg: "ES256", change: []any{"use", nil}, want: ok},
		"use enc":                    {alg: "ES256", change: []any{"use", "enc"}, want: notAuthenticated},
		"another use":                {alg: "ES256", change: []any{"use", "geheim"}, want: notAuthenticated},
		"key_ops verify":             {alg: "ES256", change: []any{"key_ops", []string{"verify"}}, want: ok},
		"key_ops encrypt":            {alg: "ES256", change: []any{"use", nil, "key_ops", []string{"encrypt"}}, want: notAuthenticated},
		"P-384 without alg":          {alg: "ES384", change: []any{"alg", nil}, want: ok},
		"Ed25519 without alg":        {alg: "EdDSA", change: []any{"alg", nil}, want: ok},
		"EC of alg EdDSA":            {alg: "ES256", change: []any{"alg", "EdDSA"}, want: notAuthenticated},
		"P-256 of alg ES384":         {alg: "ES256", change: []any{"alg", "ES384"}, want: notAuthenticated},
		"certificates do not matter": {alg: "RS256", change: []any{"x5c", []string{"geheim"}, "x5u", "http://geheim.test", "x5t", "AA"}, want: ok},
		"a private member":           {alg: "ES256", change: []any{"d", "AAAA"}, want: ok},
		"another id":                 {alg: "ES256", change: []any{"kid", "other"}, want: notAuthenticated},
		"no id":                      {alg: "ES256", change: []any{"kid", nil}, want: notAuthenticated},
		"an id of two kinds": {alg: "ES256", change: []any{"kid", "spare"}, want: ok,
			options: []issuertest.Option{issuertest.Header("kid", "spare")}},
		"an id of two kinds, and neither": {alg: "ES256", change: []any{"kid", "spare"}, want: notAuthenticated,
			options: []issuertest.Option{issuertest.Header("kid", "spare"), lie("ES384")}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
				spare := jwk(issuertest.New(issuerURL), "EdDSA", "kid", "spare")
				set := append([]any{spare, jwk(issuer, row.alg, row.change...)}, oddKeys...)
				issuer.Handle(issuertest.Keys, issuertest.JSON(map[string]any{"keys": set}))
				want(t, tokens, issuer.Token(alice(), append([]issuertest.Option{issuertest.Alg(row.alg)}, row.options...)...), row.want)
			})
		})
	}
}

// A key set with only odd keys counts as unavailable.
func TestOddKeys(t *testing.T) {
	for _, k := range oddKeys {
		bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
			issuer.Handle(issuertest.Keys, issuertest.JSON(map[string]any{"keys": []any{k}}))
			if got := verify(t, tokens, issuer.Token(alice())); got != unavailable {
				t.Errorf("%v: %s", k, got)
			}
		})
	}
}

// A signature of P-256 is also one of ES384 with zeros in front, which golang-jwt accepts.
func TestCurveAndAlgBelongTogether(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		set := []any{jwk(issuer, "ES256", "alg", nil), jwk(issuer, "EdDSA")}
		issuer.Handle(issuertest.Keys, issuertest.JSON(map[string]any{"keys": set}))
		want(t, tokens, issuer.Token(alice(), issuertest.Alg("ES256")), ok)
		want(t, tokens, issuer.Token(alice(), issuertest.Alg("ES384"), issuertest.KeyOf("ES256")), notAuthenticated)
	})
}

func TestTokensWithoutKeyID(t *testing.T) {
	for name, row := range map[string]struct {
		set  func(i *issuertest.Issuer) []any
		want string
	}{
		"one key":            {func(i *issuertest.Issuer) []any { return []any{jwk(i, "ES256")} }, ok},
		"one key without id": {func(i *issuertest.Issuer) []any { return []any{jwk(i, "ES256", "kid", nil)} }, ok},
		"one key that can be used": {func(i *issuertest.Issuer) []any {
			return append([]any{jwk(i, "ES256"), jwk(i, "RS256", "use", "enc")}, oddKeys...)
		}, ok},
		"one key of another kind": {func(i *issuertest.Issuer) []any { return []any{jwk(i, "RS256")} }, notAuthenticated},
		"two keys":                {func(i *issuertest.Issuer) []any { return []any{jwk(i, "ES256"), jwk(i, "RS256")} }, notAuthenticated},
		"two keys without id": {func(i *issuertest.Issuer) []any {
			return []any{jwk(i, "ES256", "kid", nil), jwk(i, "RS256", "kid", nil)}
		}, notAuthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
				issuer.Handle(issuertest.Keys, issuertest.JSON(map[string]any{"keys": row.set(issuer)}))
				token := issuer.Token(alice(), issuertest.Alg("ES256"), issuertest.Header("kid", nil))
				want(t, tokens, token, row.want)
				want(t, tokens, issuer.Token(alice(), issuertest.Alg("ES256"), issuertest.Header("kid", "")), notAuthenticated)
				time.Sleep(auth.KeysApart)
				want(t, tokens, token, row.want)
			})
		})
	}
}
