package auth_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/internal/bounded"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
	"github.com/kootask/kootask/service/reason"
)

// fetches returns when keys were fetched, since begin.
func fetches(issuer *issuertest.Issuer, begin time.Time) []time.Duration {
	var since []time.Duration
	for _, at := range issuer.Fetches(issuertest.Discovery) {
		since = append(since, at.Sub(begin))
	}
	return since
}

// want fails the test unless token comes to an outcome, and at once.
func want(t *testing.T, tokens *auth.Tokens, token, outcome string) {
	t.Helper()
	begin := time.Now()
	if got := verify(t, tokens, token); got != outcome {
		t.Errorf("%s, want %s", got, outcome)
	}
	if took := time.Since(begin); took != 0 {
		t.Errorf("it took %v", took)
	}
}

// together verifies a token n times at once, and returns how many came to what.
func together(t *testing.T, tokens *auth.Tokens, token string, n int) map[string]int {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	outcomes := map[string]int{}
	for range n {
		wg.Go(func() {
			got := verify(t, tokens, token)
			mu.Lock()
			defer mu.Unlock()
			outcomes[got]++
		})
	}
	wg.Wait()
	return outcomes
}

func TestKeysAreFetchedFromTheFirstTokenOn(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		begin := time.Now()
		time.Sleep(time.Hour)
		if got := fetches(issuer, begin); got != nil {
			t.Errorf("fetches before a token: %v", got)
		}
		if diff := cmp.Diff(map[string]int{ok: 100}, together(t, tokens, issuer.Token(alice()), 100)); diff != "" {
			t.Error(diff)
		}
		time.Sleep(auth.KeysAge - 1)
		want(t, tokens, issuer.Token(alice(), issuertest.Alg("ES256")), ok)
		time.Sleep(auth.KeysAge)
		apart := []time.Duration{time.Hour, time.Hour + auth.KeysAge}
		if diff := cmp.Diff(apart, fetches(issuer, begin)); diff != "" {
			t.Error(diff)
		}
		if n := len(issuer.Fetches(issuertest.Keys)); n != 2 {
			t.Errorf("the keys were fetched %d times", n)
		}
	})
}

func TestRotation(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		begin := time.Now()
		before := issuer.Token(alice())
		want(t, tokens, before, ok)
		time.Sleep(auth.KeysApart - 1)
		issuer.Rotate()
		after := issuer.Token(alice())
		want(t, tokens, after, notAuthenticated) // The next fetch may not be made yet.
		want(t, tokens, before, ok)
		time.Sleep(time.Nanosecond)
		issuer.Handle("", slowly(issuer, time.Second))
		if diff := cmp.Diff(map[string]int{ok: 100}, together(t, tokens, after, 100)); diff != "" {
			t.Error(diff)
		}
		want(t, tokens, after, ok)
		want(t, tokens, before, notAuthenticated) // Its key has gone.
		if diff := cmp.Diff([]time.Duration{0, auth.KeysApart}, fetches(issuer, begin)); diff != "" {
			t.Error(diff)
		}
	})
}

// A key is replaced under its id: the first token that it signs has the keys fetched, if that is allowed again, and is good.
func TestKeyIsReplacedUnderItsID(t *testing.T) {
	for name, row := range map[string]struct {
		alg     string
		set     func(i *issuertest.Issuer) []any // Nil: all keys of the issuer.
		replace func(i *issuertest.Issuer)       // Nil: by one of the same kind.
		options []issuertest.Option
	}{
		"RSA":     {alg: "RS256"},
		"EC":      {alg: "ES256"},
		"Ed25519": {alg: "EdDSA"},
		"by another kind": {
			alg:     "EdDSA",
			set:     func(i *issuertest.Issuer) []any { return []any{jwk(i, "ES256", "kid", "same")} },
			replace: func(i *issuertest.Issuer) { i.Handle(issuertest.Keys, published(jwk(i, "EdDSA", "kid", "same"))) },
			options: []issuertest.Option{issuertest.Header("kid", "same")},
		},
		"without an id": {
			alg: "EdDSA",
			set: func(i *issuertest.Issuer) []any { return []any{jwk(i, "EdDSA", "kid", nil)} },
			replace: func(i *issuertest.Issuer) {
				i.Replace("EdDSA")
				i.Handle(issuertest.Keys, published(jwk(i, "EdDSA", "kid", nil)))
			},
			options: []issuertest.Option{issuertest.Header("kid", nil)},
		},
		"the other of two without an id goes": {
			alg:     "EdDSA",
			set:     func(i *issuertest.Issuer) []any { return []any{jwk(i, "EdDSA"), jwk(i, "ES256")} },
			replace: func(i *issuertest.Issuer) { i.Handle(issuertest.Keys, published(jwk(i, "EdDSA"))) },
			options: []issuertest.Option{issuertest.Header("kid", nil)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
				begin := time.Now()
				if row.set != nil {
					issuer.Handle(issuertest.Keys, published(row.set(issuer)...))
				}
				want(t, tokens, issuer.Token(alice(), issuertest.Header("kid", "unknown")), notAuthenticated)
				options := append([]issuertest.Option{issuertest.Alg(row.alg)}, row.options...)
				before := issuer.Token(alice(), options...)
				if row.replace == nil {
					want(t, tokens, before, ok)
					issuer.Replace(row.alg)
				} else {
					row.replace(issuer)
				}
				after := issuer.Token(alice(), options...)
				time.Sleep(auth.KeysApart - 1)
				want(t, tokens, after, notAuthenticated) // The next fetch may not be made yet.
				time.Sleep(time.Nanosecond)
				if diff := cmp.Diff(map[string]int{ok: 100}, together(t, tokens, after, 100)); diff != "" {
					t.Error(diff)
				}
				want(t, tokens, after, ok)
				if before != after && row.replace == nil {
					want(t, tokens, before, notAuthenticated)
				}
				if diff := cmp.Diff([]time.Duration{0, auth.KeysApart}, fetches(issuer, begin)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// published answers with a set of keys.
func published(set ...any) http.HandlerFunc { return issuertest.JSON(map[string]any{"keys": set}) }

func TestOldKeysServeWhileNewOnesAreFetched(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		want(t, tokens, issuer.Token(alice()), ok)
		time.Sleep(auth.KeysAge - 1)
		before := issuer.Token(alice())
		issuer.Rotate()
		issuer.Handle("", slowly(issuer, time.Second))
		for range 2 { // Discovery takes one second, and the keys another.
			time.Sleep(time.Second)
			want(t, tokens, before, ok)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		want(t, tokens, before, notAuthenticated)
		want(t, tokens, issuer.Token(alice()), ok)
		if n := len(issuer.Fetches(issuertest.Discovery)); n != 2 {
			t.Errorf("%d fetches", n)
		}
	})
}

// While the issuer hangs, a token of a known key waits for nothing, however old the key is and whoever has the keys fetched.
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
								t.Error("a forged one is good")
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

func TestLastGoodKeysStay(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		want(t, tokens, issuer.Token(alice()), ok)
		issuer.Handle("", issuertest.Status(503))
		time.Sleep(auth.KeysAge)
		begin := time.Now()
		for range 12 {
			synctest.Wait()
			want(t, tokens, issuer.Token(alice()), ok)
			time.Sleep(auth.KeysApart / 3)
		}
		synctest.Wait()
		apart := []time.Duration{0, auth.KeysApart, 2 * auth.KeysApart, 3 * auth.KeysApart, 4 * auth.KeysApart}
		if diff := cmp.Diff(apart, fetches(issuer, begin)[1:]); diff != "" {
			t.Errorf("fetches while the issuer is down: %s", diff)
		}
		time.Sleep(24 * time.Hour)
		want(t, tokens, issuer.Token(alice()), ok)
		synctest.Wait()
		want(t, tokens, issuer.Token(alice(), issuertest.Header("kid", "other")), keysUnavailable)

		issuer.Rotate()
		issuer.Handle("", nil)
		time.Sleep(auth.KeysApart)
		if got := verify(t, tokens, issuer.Token(alice())); got != ok {
			t.Errorf("it is back: %s", got)
		}
	})
}

// A key that was withdrawn while no token came is good for none that comes.
func TestOldKeysAreNotBelieved(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		claims := alice()
		claims["exp"] = time.Now().Add(24 * time.Hour).Unix()
		before := issuer.Token(claims)
		want(t, tokens, before, ok)
		issuer.Rotate()
		time.Sleep(2 * auth.KeysAge)
		want(t, tokens, before, notAuthenticated)
	})
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

// Whoever leaves takes nobody's fetch along.
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
		if err := <-first; err != context.Canceled { //nolint:errorlint // It is ctx's own, not wrapped.
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
			t.Errorf("who waited: %s, after %v", got, time.Since(begin))
		}
		time.Sleep(time.Hour)
		want(t, tokens, issuer.Token(alice()), unavailable)
		if n := len(issuer.Fetches(issuertest.Discovery)); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// lingering is a transport that takes its time, whatever the request's context says.
type lingering struct {
	time     time.Duration
	requests atomic.Int32
}

func (l *lingering) RoundTrip(*http.Request) (*http.Response, error) {
	l.requests.Add(1)
	<-time.After(l.time)
	return nil, errors.New("nobody is there")
}

// With a transport that does not end when it should, a token waits for its keys as long as a fetch may take, Close waits for
// nothing, and there is no fetch after it.
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

// Ten thousand forged tokens at once, and more as time goes on, cost a fetch in KeysApart, and no caller a moment.
func TestForgedFlood(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		want(t, tokens, issuer.Token(alice()), ok)
		time.Sleep(auth.KeysApart)
		begin := time.Now()
		issuer.Handle("", slowly(issuer, time.Second))
		forged := make([]string, 500)
		for i := range forged {
			forged[i] = issuer.Token(alice(), issuertest.Alg("EdDSA"), issuertest.Header("kid", fmt.Sprint("forged-", i)))
			if i%10 == 1 { // The id is the issuer's, and the key is not.
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
		// The flight, and the two ends of its connection.
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

func TestMetricsOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer, registry := issuertest.New(issuerURL), prometheus.NewPedanticRegistry()
		tokens := verifier(t, issuer, auth.TokensConfig{Metrics: registry})
		check := func(good, failed, age float64) {
			t.Helper()
			want := map[string]float64{"ok": good, "failed": failed, "kootask_oidc_keys_age_seconds": age}
			if diff := cmp.Diff(want, gather(t, registry), cmp.Comparer(func(a, b float64) bool {
				return a == b || math.IsNaN(a) && math.IsNaN(b)
			})); diff != "" {
				t.Error(diff)
			}
		}
		check(0, 0, math.NaN())
		issuer.Handle("", issuertest.Status(500))
		want(t, tokens, issuer.Token(alice()), unavailable)
		check(0, 1, math.NaN())
		issuer.Handle("", nil)
		time.Sleep(auth.KeysApart)
		want(t, tokens, issuer.Token(alice()), ok)
		time.Sleep(90 * time.Second)
		check(1, 1, 90)
	})
}

// gather returns the values of all metrics, by name or by their label's value.
func gather(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name = label.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}
