package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuerURL = "https://issuer.test/realm"

// bubble runs test in virtual time, with an issuer and who verifies its tokens.
func bubble(t *testing.T, test func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		issuer := issuertest.New(issuerURL)
		test(t, issuer, verifier(t, issuer, auth.TokensConfig{}))
	})
}

// verifier returns Tokens for an issuer that they reach in memory. What c leaves open is set.
func verifier(t *testing.T, issuer *issuertest.Issuer, c auth.TokensConfig) *auth.Tokens {
	t.Helper()
	listener := koodrivetest.Listen()
	server := &http.Server{Handler: issuer}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	transport := &http.Transport{DialContext: listener.Dial, DialTLSContext: listener.Dial}
	c.Issuer, c.Audience, c.Transport = issuer.URL(), issuertest.Audience, transport
	tokens, err := auth.NewTokens(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tokens.Close()
		transport.CloseIdleConnections()
		_ = server.Close()
		<-done
	})
	return tokens
}

// outcome returns what an error of Verify's came to, "OK" if it is nil.
func outcome(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return "OK"
	}
	var e *reason.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T: %v", err, err)
	}
	return e.Outcome.Name
}

func verify(t *testing.T, tokens *auth.Tokens, token string) string {
	t.Helper()
	_, _, err := tokens.Verify(t.Context(), token)
	return outcome(t, err)
}

const (
	ok               = "OK"
	notAuthenticated = "CALLER_NOT_AUTHENTICATED"
	keysUnavailable  = "CALLER_KEYS_UNAVAILABLE"
	expired          = "CALLER_TOKEN_EXPIRED"
	unavailable      = "CALLER_KEYS_UNAVAILABLE"
)

// alice is a token's sub.
func alice(claims ...any) map[string]any {
	all := map[string]any{"sub": "alice"}
	for i := 0; i < len(claims); i += 2 {
		all[claims[i].(string)] = claims[i+1]
	}
	return all
}

func TestGoodTokens(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		for _, alg := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
			claims, expiry, err := tokens.Verify(t.Context(), issuer.Token(alice("groups", []string{"ops"}), issuertest.Alg(alg)))
			if err != nil {
				t.Errorf("%s: %v", alg, err)
				continue
			}
			want := jwt.MapClaims{
				"iss": issuerURL, "aud": issuertest.Audience, "sub": "alice", "groups": []any{"ops"},
				"iat": float64(time.Now().Unix()), "exp": float64(time.Now().Add(issuertest.Lifetime).Unix()),
			}
			if diff := cmp.Diff(want, claims); diff != "" {
				t.Errorf("%s: %s", alg, diff)
			}
			if !expiry.Equal(time.Now().Add(issuertest.Lifetime)) {
				t.Errorf("%s: expires at %v", alg, expiry)
			}
		}
	})
}

// Claims and headers that a token may have, beside those that every token must have.
func TestTokensWithMore(t *testing.T) {
	for name, token := range map[string]func(i *issuertest.Issuer) string{
		"as long as it may be": func(i *issuertest.Issuer) string {
			room := auth.MaxToken - len(i.Token(alice("groups", "")))
			return i.Token(alice("groups", strings.Repeat("x", room*3/4-1)))
		},
		"one audience of several": func(i *issuertest.Issuer) string {
			return i.Token(alice("aud", []string{"other", issuertest.Audience}))
		},
		"nbf is past":            func(i *issuertest.Issuer) string { return i.Token(alice("nbf", time.Now().Add(-time.Hour).Unix())) },
		"no iat":                 func(i *issuertest.Issuer) string { return i.Token(alice("iat", nil)) },
		"a fraction of a second": func(i *issuertest.Issuer) string { return i.Token(alice("exp", float64(time.Now().Unix())+.5)) },
		"a sub of 256 bytes": func(i *issuertest.Issuer) string {
			return i.Token(alice("sub", strings.Repeat("ä", auth.MaxSubject/2)))
		},
		"typ at+jwt": func(i *issuertest.Issuer) string { return i.Token(alice(), issuertest.Header("typ", "at+jwt")) },
		"jku is not followed": func(i *issuertest.Issuer) string {
			return i.Token(alice(), issuertest.Header("jku", "https://evil.test/keys"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
				want(t, tokens, token(issuer), ok)
			})
		})
	}
}

// Whatever comes as a token, to read it takes little memory: nobody is known by then.
func TestReadingATokenTakesLittleMemory(t *testing.T) {
	issuer := issuertest.New(issuerURL)
	tokens, err := auth.NewTokens(auth.TokensConfig{Issuer: issuerURL, Audience: issuertest.Audience, Transport: direct{issuer}})
	if err != nil {
		t.Fatal(err)
	}
	defer tokens.Close()
	const most, runs = 1 << 20, 20
	room := auth.MaxToken * 3 / 4 * 9 / 10
	header := segment(`{"alg":"RS256","kid":"a"}`) + "."
	for name, token := range map[string]string{
		"dots":      strings.Repeat(".", auth.MaxToken),
		"letters":   strings.Repeat("x", auth.MaxToken),
		"objects":   header + segment(`{"a":[`+strings.Repeat("{},", room/3)+`{}]}`) + ".x",
		"lists":     header + segment(`{"a":[`+strings.Repeat("[],", room/3)+`[]]}`) + ".x",
		"numbers":   header + segment(`{"a":[`+strings.Repeat("1,", room/2)+`1]}`) + ".x",
		"depth":     header + segment(`{"a":`+strings.Repeat("[", room)) + ".x",
		"members":   segment(`{"a":1`+strings.Repeat(`,"b":{}`, room/7)+`}`) + "." + segment("{}") + ".x",
		"a long id": segment(`{"alg":"RS256","kid":"`+strings.Repeat("x", room)+`"}`) + "." + segment("{}") + ".x",
	} {
		t.Run(name, func(t *testing.T) {
			if len(token) > auth.MaxToken {
				t.Fatalf("%d bytes", len(token))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range runs {
				if _, _, err := tokens.Verify(t.Context(), token); err == nil {
					t.Fatal("it is good")
				}
			}
			runtime.ReadMemStats(&after)
			each := (after.TotalAlloc - before.TotalAlloc) / runs
			t.Logf("%d bytes", each)
			if each > most {
				t.Errorf("%d bytes are taken to read %d", each, len(token))
			}
		})
	}
}

// segment encodes a part of a token.
func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// jwkOf returns the public key that a forger would put into the header.
func jwkOf(i *issuertest.Issuer) map[string]any { return i.KeySet()[0] }

// brokenTokens are tokens that nobody may call with, by what is wrong with them. Secret things in them contain "geheim".
func brokenTokens(i *issuertest.Issuer) map[string]string {
	now := time.Now()
	good := i.Token(alice())
	parts := strings.Split(good, ".")
	es := strings.Split(i.Token(alice(), issuertest.Alg("ES256")), ".")
	other := issuertest.New(i.URL())
	changed := segment(`{"iss":"` + i.URL() + `","aud":"kootask","sub":"geheim","exp":99999999999}`)
	return map[string]string{
		// Its form.
		"empty":                      "",
		"no parts":                   "geheim",
		"two parts":                  parts[0] + "." + parts[1],
		"four parts":                 good + ".geheim",
		"a JWE":                      good + ".a.b",
		"empty parts":                "..",
		"a blank before it":          " " + good,
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

		// Its algorithm.
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

		// Its header.
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

		// Its signature.
		"signed by another RSA":     i.Token(alice(), issuertest.Forged()),
		"signed by another EC":      i.Token(alice(), issuertest.Alg("ES256"), issuertest.Forged()),
		"signed by another Ed25519": i.Token(alice(), issuertest.Alg("EdDSA"), issuertest.Forged()),
		"the payload was changed":   parts[0] + "." + changed + "." + parts[2],
		"another's signature":       parts[0] + "." + parts[1] + "." + es[2],
		"zeros for a signature":     es[0] + "." + es[1] + "." + segment(strings.Repeat("\x00", 64)),
		"a signature that is short": es[0] + "." + es[1] + "." + es[2][:40],
		"forged and expired":        i.Token(alice("exp", now.Add(-time.Hour).Unix()), issuertest.Forged()),

		// Its claims.
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
		"a blank sub":                i.Token(alice("sub", " ")),
		"sub that is a number":       i.Token(alice("sub", 1)),
		"sub with a line break":      i.Token(alice("sub", "geheim\nalice")),
		"sub with a zero":            i.Token(alice("sub", "alice\x00geheim")),
		"sub that reads backwards":   i.Token(alice("sub", "alice\u202egeheim")),
		"sub that is not UTF-8":      i.Sign([]byte(`{"iss":"` + i.URL() + `","aud":"kootask","exp":99999999999,"sub":"geheim` + "\xff" + `"}`)),
		"sub that is half a letter":  i.Sign([]byte(`{"iss":"` + i.URL() + `","aud":"kootask","exp":99999999999,"sub":"geheim\ud800"}`)),
		"sub of more than 256 bytes": i.Token(alice("sub", strings.Repeat("ä", auth.MaxSubject/2)+"a")),
	}
}

// next returns the letter of base64url after c: of the last one of a signature of 256 bytes it changes bits that do not
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

// What can be told without keys asks the issuer for none.
func TestBrokenTokensAreNoCauseToFetch(t *testing.T) {
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

func TestTimesOfTokens(t *testing.T) {
	for name, row := range map[string]struct {
		claim string
		after time.Duration // From now until the claim.
		wait  time.Duration // Until the token is shown.
		want  string
	}{
		"the last moment":      {"exp", time.Minute, time.Minute - 1, ok},
		"exp is when it ends":  {"exp", time.Minute, time.Minute, expired},
		"long ago":             {"exp", time.Minute, 24 * time.Hour, expired},
		"it was never good":    {"exp", -time.Hour, 0, expired},
		"in 1970":              {"exp", -time.Duration(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()) * time.Second, 0, expired},
		"nbf a little ahead":   {"nbf", auth.ClockSkew, 0, ok},
		"nbf too far ahead":    {"nbf", auth.ClockSkew + time.Second, time.Second - 1, notAuthenticated},
		"nbf has come near":    {"nbf", auth.ClockSkew + time.Second, time.Second, ok},
		"iat a little ahead":   {"iat", auth.ClockSkew, 0, ok},
		"iat too far ahead":    {"iat", auth.ClockSkew + time.Second, time.Second - 1, notAuthenticated},
		"an old token is good": {"iat", -24 * time.Hour, 0, ok},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
				token := issuer.Token(alice(row.claim, time.Now().Add(row.after).Unix()))
				time.Sleep(row.wait)
				if got := verify(t, tokens, token); got != row.want {
					t.Errorf("%s, want %s", got, row.want)
				}
			})
		})
	}
}

func TestTokensConfig(t *testing.T) {
	for issuer, good := range map[string]bool{
		"https://issuer.test":             true,
		"https://issuer.test/":            true,
		"https://issuer.test:8443/realm":  true,
		"http://localhost:8080/realm":     true,
		"http://127.0.0.1":                true,
		"http://[::1]:80":                 true,
		"":                                false,
		"issuer.test":                     false,
		"//issuer.test":                   false,
		"https:issuer.test":               false,
		"https://":                        false,
		"ftp://issuer.test":               false,
		"http://issuer.test":              false,
		"http://10.0.0.1":                 false,
		"http://localhost.issuer.test":    false,
		"https://geheim@issuer.test":      false,
		"https://a:geheim@issuer.test":    false,
		"https://issuer.test?":            false,
		"https://issuer.test?geheim":      false,
		"https://issuer.test#":            false,
		"https://issuer.test#geheim":      false,
		"https://issuer.test/%zz":         false,
		"https://issuer.test/line\nbreak": false,
	} {
		tokens, err := auth.NewTokens(auth.TokensConfig{Issuer: issuer, Audience: "kootask"})
		if (err == nil) != good {
			t.Errorf("%q: %v", issuer, err)
		}
		if err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q is quoted: %v", issuer, err)
		}
		if tokens != nil {
			tokens.Close()
		}
	}
	if _, err := auth.NewTokens(auth.TokensConfig{Issuer: issuerURL}); err == nil {
		t.Error("there is no audience, and no error")
	}
}

func TestTheCallersContextEndsTheWait(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		issuer.Handle("", issuertest.Hang)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := tokens.Verify(ctx, issuer.Token(alice())); err != context.DeadlineExceeded { //nolint:errorlint // It is ctx's own, not wrapped.
			t.Errorf("%v", err)
		}
	})
}
