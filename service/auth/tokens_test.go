package auth_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
)

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

// Claims and headers that a valid token may have in addition to the required ones.
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

// Reading a token takes little memory, whatever it contains: its caller is unauthenticated.
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
					t.Fatal("it is accepted")
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

func TestTimesOfTokens(t *testing.T) {
	for name, row := range map[string]struct {
		claim string
		after time.Duration // From now until the claim.
		wait  time.Duration // Until the token is verified.
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
		if _, _, err := tokens.Verify(ctx, issuer.Token(alice())); err != context.DeadlineExceeded { //nolint:errorlint // The context's own error, not wrapped.
			t.Errorf("%v", err)
		}
	})
}
