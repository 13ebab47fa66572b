package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kootask/kootask/internal/bounded"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
	"github.com/kootask/kootask/service/reason"
)

// While the issuer hangs, a token of a known key is verified at once, however old the key is and whatever fetches are in flight.
func TestHangingIssuerDelaysNoKnownKey(t *testing.T) {
	for name, path := range map[string]string{"discovery": issuertest.Discovery, "keys": issuertest.Keys, "both": ""} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
				want(t, tokens, issuer.Token(alice()), ok)
				issuer.Handle(path, issuertest.Hang)
				var others sync.WaitGroup
				const step = 5 * time.Second
				for range int(3 * auth.KeysAge / step) {
					time.Sleep(step)
					for _, bad := range []issuertest.Option{issuertest.Header("kid", "unknown"), issuertest.Forged()} {
						others.Go(func() {
							if got := verify(t, tokens, issuer.Token(alice(), issuertest.Alg("EdDSA"), bad)); got == ok {
								t.Error("a forged token is accepted")
							}
						})
					}
					synctest.Wait()
					want(t, tokens, issuer.Token(alice(), issuertest.Alg("EdDSA")), ok)
				}
				others.Wait()
				seen := issuer.Fetches(issuertest.Discovery)
				for i := range seen[1:] {
					if apart := seen[i+1].Sub(seen[i]); apart < auth.KeysApart || apart > auth.KeysApart+step {
						t.Errorf("fetches after %v", apart)
					}
				}
				if len(seen) < 50 {
					t.Errorf("%d fetches", len(seen))
				}
			})
		})
	}
}

func TestIssuerIsDownAtTheStart(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		begin := time.Now()
		issuer.Handle("", issuertest.Status(503))
		for _, waited := range []time.Duration{0, 10 * time.Second, 29 * time.Second} {
			time.Sleep(time.Until(begin.Add(waited)))
			_, _, err := tokens.Verify(t.Context(), issuer.Token(alice()))
			var e *reason.Error
			if !errors.As(err, &e) || e.Outcome != reason.CallerKeysUnavailable || e.RetryAfter != auth.KeysApart-waited {
				t.Errorf("after %v: %v, %+v", waited, err, e)
			}
		}
		want(t, tokens, issuer.Token(alice(), issuertest.Unsigned()), notAuthenticated)
		issuer.Handle("", nil)
		want(t, tokens, issuer.Token(alice()), unavailable)
		time.Sleep(time.Second)
		if got := verify(t, tokens, issuer.Token(alice())); got != ok {
			t.Errorf("it is back: %s", got)
		}
		if diff := cmp.Diff([]time.Duration{0, auth.KeysApart}, fetches(issuer, begin)); diff != "" {
			t.Error(diff)
		}
	})
}

// A caller that leaves does not cancel the fetch that others wait for.
func TestFetchOutlivesItsCauser(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		issuer.Handle("", slowly(issuer, time.Second))
		token := issuer.Token(alice())
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			_, _, err := tokens.Verify(ctx, token)
			first <- err
		}()
		synctest.Wait()
		second := make(chan string)
		go func() { second <- verify(t, tokens, token) }()
		synctest.Wait()
		cancel()
		if err := <-first; err != context.Canceled { //nolint:errorlint // The context's own error, not wrapped.
			t.Errorf("the first: %v", err)
		}
		if got := <-second; got != ok {
			t.Errorf("the second: %s", got)
		}
		if n := len(issuer.Fetches(issuertest.Discovery)); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		token := issuer.Token(alice())
		issuer.Handle("", issuertest.Hang)
		waiting := make(chan string)
		go func() { waiting <- verify(t, tokens, token) }()
		synctest.Wait()
		begin := time.Now()
		tokens.Close()
		if got := <-waiting; got != unavailable || time.Since(begin) != 0 {
			t.Errorf("the waiting one: %s, after %v", got, time.Since(begin))
		}
		time.Sleep(time.Hour)
		want(t, tokens, issuer.Token(alice()), unavailable)
		if n := len(issuer.Fetches(issuertest.Discovery)); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// lingering is a transport that ignores the request's context and takes its time.
type lingering struct {
	time     time.Duration
	requests atomic.Int32
}

func (l *lingering) RoundTrip(*http.Request) (*http.Response, error) {
	l.requests.Add(1)
	<-time.After(l.time)
	return nil, errors.New("nobody is there")
}

// If the transport ignores cancellation, a token waits at most the time of a fetch for its keys, Close returns at once, and no
// fetch follows it.
func TestTransportThatLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &lingering{time: time.Minute}
		issuer := issuertest.New(issuerURL)
		tokens, err := auth.NewTokens(auth.TokensConfig{Issuer: issuerURL, Audience: issuertest.Audience, Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for range 2 {
			if got := verify(t, tokens, issuer.Token(alice())); got != unavailable {
				t.Error(got)
			}
		}
		tokens.Close()
		if took := time.Since(begin); took != auth.ConnectTimeout+bounded.Obedience {
			t.Errorf("two tokens and Close took %v", took)
		}
		time.Sleep(time.Hour)
		want(t, tokens, issuer.Token(alice()), unavailable)
		if n := transport.requests.Load(); n != 1 {
			t.Errorf("%d requests", n)
		}
	})
}

// Ten thousand forged tokens at once, and more later, cost one fetch per KeysApart and delay no caller.
func TestForgedFlood(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		want(t, tokens, issuer.Token(alice()), ok)
		time.Sleep(auth.KeysApart)
		begin := time.Now()
		issuer.Handle("", slowly(issuer, time.Second))
		forged := make([]string, 500)
		for i := range forged {
			forged[i] = issuer.Token(alice(), issuertest.Alg("EdDSA"), issuertest.Header("kid", fmt.Sprint("forged-", i)))
			if i%10 == 1 { // The id is the issuer's, the key is not.
				forged[i] = issuer.Token(alice(), issuertest.Alg("EdDSA"), issuertest.Forged())
			}
		}
		var forgers sync.WaitGroup
		flood := func(n int) {
			for i := range n {
				forgers.Go(func() {
					if got := verify(t, tokens, forged[i%len(forged)]); got != notAuthenticated {
						t.Errorf("a forged one: %s", got)
					}
				})
			}
			synctest.Wait()
		}
		before := runtime.NumGoroutine()
		flood(10_000)
		// The fetch, and the two ends of its connection.
		if more := runtime.NumGoroutine() - before - 10_000; more > 10 {
			t.Errorf("%d goroutines beside the callers'", more)
		}
		honest := issuer.Token(alice(), issuertest.Alg("EdDSA"))
		for range 100 {
			want(t, tokens, honest, ok)
		}
		for range 12 {
			time.Sleep(10 * time.Second)
			flood(len(forged))
			want(t, tokens, issuer.Token(alice(), issuertest.Alg("EdDSA")), ok)
		}
		forgers.Wait()
		apart := []time.Duration{-auth.KeysApart, 0, 30 * time.Second, time.Minute, 90 * time.Second, 2 * time.Minute}
		if diff := cmp.Diff(apart, fetches(issuer, begin)); diff != "" {
			t.Error(diff)
		}
	})
}
