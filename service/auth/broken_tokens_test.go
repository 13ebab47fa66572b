package auth_test

import (
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
)

// brokenTokens are tokens that must be refused, by their fault. Secret texts in them contain "geheim".
func brokenTokens(i *issuertest.Issuer) map[string]string {
	now := time.Now()
	good := i.Token(alice())
	parts := strings.Split(good, ".")
	es := strings.Split(i.Token(alice(), issuertest.Alg("ES256")), ".")
	other := issuertest.New(i.URL())
	changed := segment(`{"iss":"` + i.URL() + `","aud":"kootask","sub":"geheim","exp":99999999999}`)
	return map[string]string{
		// Form.
		"empty":                      "",
		"no parts":                   "geheim",
		"two parts":                  parts[0] + "." + parts[1],
		"four parts":                 good + ".geheim",
		"a JWE":                      good + ".a.b",
		"empty parts":                "..",
		"a space before it":          " " + good,
		"a line break at its end":    good + "\n",
		"a line break inside it":     parts[0] + "." + parts[1] + "." + parts[2][:9] + "\n" + parts[2][9:],
		"padding":                    good + "=",
		"base64 that is not base64":  parts[0] + "." + parts[1] + ".geheim!",
		"other bits after the end":   good[:len(good)-1] + next(good[len(good)-1]),
		"too long":                   i.Token(alice("groups", strings.Repeat("geheim", auth.MaxToken))),
		"a header that is not JSON":  segment("geheim") + "." + parts[1] + "." + parts[2],
		"a header that is null":      segment("null") + "." + parts[1] + "." + parts[2],
		"a payload that is not JSON": i.Sign([]byte("geheim")),
		"a payload that is a list":   i.Sign([]byte(`["geheim"]`)),
		"a payload that is null":     i.Sign([]byte(`null`)),
		"a number that is too large": i.Sign([]byte(`{"x":271828e999}`)),
		"nothing signed":             parts[0] + "." + parts[1] + ".",

		// Algorithm.
		"no alg":                        i.Token(alice(), issuertest.Header("alg", nil)),
		"an alg that is a number":       i.Token(alice(), issuertest.Header("alg", 256)),
		"none":                          i.Token(alice(), issuertest.Unsigned()),
		"None":                          i.Token(alice(), issuertest.Unsigned(), issuertest.Header("alg", "None")),
		"none with a signature":         i.Token(alice(), issuertest.Header("alg", "none")),
		"HS256 with the public key":     i.Token(alice(), issuertest.Secret("HS256")),
		"HS384 with the public key":     i.Token(alice(), issuertest.Secret("HS384")),
		"HS512 with the public key":     i.Token(alice(), issuertest.Secret("HS512")),
		"an unknown alg":                i.Token(alice(), issuertest.Header("alg", "geheim")),
		"alg in lower case":             i.Token(alice(), issuertest.Header("alg", "rs256")),
		"another alg of the same key":   i.Token(alice(), issuertest.Header("alg", "RS512")),
		"PS256 that is RS256":           i.Token(alice(), issuertest.Header("alg", "PS256")),
		"ES256 with the id of an RSA":   i.Token(alice(), issuertest.Alg("ES256"), issuertest.Header("kid", i.KeyID("RS256"))),
		"RS256 with the id of Ed25519":  i.Token(alice(), issuertest.Header("kid", i.KeyID("EdDSA"))),
		"ES256 with the id of P-384":    i.Token(alice(), issuertest.Alg("ES256"), issuertest.Header("kid", i.KeyID("ES384"))),
		"ES384 key that signs as ES256": i.Token(alice(), issuertest.Alg("ES384"), issuertest.Header("alg", "ES256")),

		// Header.
		"no kid":                   i.Token(alice(), issuertest.Header("kid", nil)),
		"an empty kid":             i.Token(alice(), issuertest.Header("kid", "")),
		"a kid that is a number":   i.Token(alice(), issuertest.Header("kid", 1)),
		"a kid that is null":       segment(`{"alg":"RS256","kid":null}`) + "." + parts[1] + "." + parts[2],
		"an unknown kid":           i.Token(alice(), issuertest.Header("kid", "geheim")),
		"a kid that is a path":     i.Token(alice(), issuertest.Header("kid", "../../geheim")),
		"crit":                     i.Token(alice(), issuertest.Header("crit", []string{"geheim"})),
		"crit that is empty":       i.Token(alice(), issuertest.Header("crit", []string{})),
		"crit of exp":              i.Token(alice(), issuertest.Header("crit", []string{"exp"}), issuertest.Header("exp", 1)),
		"b64":                      i.Token(alice(), issuertest.Header("b64", false)),
		"a key in the header":      other.Token(alice(), issuertest.Header("kid", i.KeyID("RS256")), issuertest.Forged(), issuertest.Header("jwk", jwkOf(other))),
		"jku to the forger's keys": i.Token(alice(), issuertest.Forged(), issuertest.Header("jku", "https://geheim.test/keys")),
		"x5u to the forger's":      i.Token(alice(), issuertest.Forged(), issuertest.Header("x5u", "https://geheim.test/crt")),

		// Signature.
		"signed by another RSA":     i.Token(alice(), issuertest.Forged()),
		"signed by another EC":      i.Token(alice(), issuertest.Alg("ES256"), issuertest.Forged()),
		"signed by another Ed25519": i.Token(alice(), issuertest.Alg("EdDSA"), issuertest.Forged()),
		"the payload was changed":   parts[0] + "." + changed + "." + parts[2],
		"another's signature":       parts[0] + "." + parts[1] + "." + es[2],
		"zeros for a signature":     es[0] + "." + es[1] + "." + segment(strings.Repeat("\x00", 64)),
		"a signature that is short": es[0] + "." + es[1] + "." + es[2][:40],
		"forged and expired":        i.Token(alice("exp", now.Add(-time.Hour).Unix()), issuertest.Forged()),

		// Claims.
		"no iss":                     i.Token(alice("iss", nil)),
		"another iss":                i.Token(alice("iss", "https://geheim.test")),
		"iss with a slash":           i.Token(alice("iss", i.URL()+"/")),
		"iss in upper case":          i.Token(alice("iss", strings.ToUpper(i.URL()))),
		"iss that is a list":         i.Token(alice("iss", []string{i.URL()})),
		"no aud":                     i.Token(alice("aud", nil)),
		"another aud":                i.Token(alice("aud", "geheim")),
		"aud that begins like ours":  i.Token(alice("aud", issuertest.Audience+"2")),
		"aud in upper case":          i.Token(alice("aud", strings.ToUpper(issuertest.Audience))),
		"an empty list of aud":       i.Token(alice("aud", []string{})),
		"aud that is a number":       i.Token(alice("aud", 1)),
		"aud with a number":          i.Token(alice("aud", []any{issuertest.Audience, 1})),
		"no exp":                     i.Token(alice("exp", nil)),
		"exp that is a text":         i.Token(alice("exp", "99999999999")),
		"exp that is null":           i.Sign([]byte(`{"iss":"` + i.URL() + `","aud":"kootask","sub":"geheim","exp":null}`)),
		"exp that is too large":      i.Token(alice("exp", 1e300)),
		"exp that is negative":       i.Token(alice("exp", -1)),
		"EXP":                        i.Token(alice("exp", nil, "EXP", now.Add(time.Hour).Unix())),
		"nbf later":                  i.Token(alice("nbf", now.Add(time.Minute).Unix())),
		"nbf that is too large":      i.Token(alice("nbf", 1e300)),
		"nbf that is a text":         i.Token(alice("nbf", "geheim")),
		"iat later":                  i.Token(alice("iat", now.Add(time.Minute).Unix())),
		"iat that is a text":         i.Token(alice("iat", "geheim")),
		"expired, another aud":       i.Token(alice("exp", now.Add(-time.Hour).Unix(), "aud", "geheim")),
		"expired, no sub":            i.Token(alice("exp", now.Add(-time.Hour).Unix(), "sub", nil)),
		"no sub":                     i.Token(nil),
		"an empty sub":               i.Token(alice("sub", "")),
		"a sub of a space":           i.Token(alice("sub", " ")),
		"sub that is a number":       i.Token(alice("sub", 1)),
		"sub with a line break":      i.Token(alice("sub", "geheim\nalice")),
		"sub with a zero":            i.Token(alice("sub", "alice\x00geheim")),
		"sub that reads backwards":   i.Token(alice("sub", "alice\u202egeheim")),
		"sub that is not UTF-8":      i.Sign([]byte(`{"iss":"` + i.URL() + `","aud":"kootask","exp":99999999999,"sub":"geheim` + "\xff" + `"}`)),
		"sub that is half a letter":  i.Sign([]byte(`{"iss":"` + i.URL() + `","aud":"kootask","exp":99999999999,"sub":"geheim\ud800"}`)),
		"sub of more than 256 bytes": i.Token(alice("sub", strings.Repeat("ä", auth.MaxSubject/2)+"a")),
	}
}

// next returns the letter of base64url after c. As the last letter of a signature of 256 bytes it changes only bits that do not
// count.
func next(c byte) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return letters[strings.IndexByte(letters, c)+1:][:1]
}

func TestBrokenTokens(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		for name, token := range brokenTokens(issuer) {
			claims, expiry, err := tokens.Verify(t.Context(), token)
			if got := outcome(t, err); got != notAuthenticated || claims != nil || !expiry.IsZero() {
				t.Errorf("%s: %s, %v, %v", name, got, claims, expiry)
				continue
			}
			for _, part := range append(strings.Split(token, "."), "geheim", "alice", "271828", issuertest.Audience+"2") {
				if part = strings.TrimSpace(part); len(part) > 3 && strings.Contains(err.Error(), part) {
					t.Errorf("%s: the error quotes %q: %v", name, part, err)
				}
			}
		}
		if got := verify(t, tokens, issuer.Token(alice())); got != ok {
			t.Errorf("and a good one: %s", got)
		}
	})
}

// Tokens that can be refused without keys cause no fetch.
func TestBrokenTokensCauseNoFetch(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		for _, token := range []string{
			"", "geheim", issuer.Token(alice(), issuertest.Unsigned()), issuer.Token(alice(), issuertest.Secret("HS256")),
			issuer.Token(alice("iss", "https://other.test"), issuertest.Header("kid", "other")), issuer.Token(alice("aud", "other")),
			issuer.Token(alice(), issuertest.Header("crit", []string{"b64"})),
		} {
			if got := verify(t, tokens, token); got != notAuthenticated {
				t.Errorf("%s: %s", token, got)
			}
		}
		if n := len(issuer.Fetches(issuertest.Discovery)); n != 0 {
			t.Errorf("%d fetches", n)
		}
	})
}
