package auth_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuerURL = "https://issuer.test/realm"

// bubble runs test in virtual time, with an issuer and a verifier of its tokens.
func bubble(t *testing.T, test func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		issuer := issuertest.New(issuerURL)
		test(t, issuer, verifier(t, issuer, auth.TokensConfig{}))
	})
}

// verifier returns Tokens for an issuer that they reach in memory. It sets the fields that c leaves open.
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

// outcome returns the outcome of an error of Verify, "OK" if it is nil.
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

// alice returns claims with alice as the subject.
func alice(claims ...any) map[string]any {
	all := map[string]any{"sub": "alice"}
	for i := 0; i < len(claims); i += 2 {
		all[claims[i].(string)] = claims[i+1]
	}
	return all
}

// segment encodes a part of a token.
func segment(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// jwkOf returns a public key, as a forger would put it into the header.
func jwkOf(i *issuertest.Issuer) map[string]any { return i.KeySet()[0] }
