package auth_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
)

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
		want(t, tokens, after, notAuthenticated) // The next fetch is not allowed yet.
		want(t, tokens, before, ok)
		time.Sleep(time.Nanosecond)
		issuer.Handle("", slowly(issuer, time.Second))
		if diff := cmp.Diff(map[string]int{ok: 100}, together(t, tokens, after, 100)); diff != "" {
			t.Error(diff)
		}
		want(t, tokens, after, ok)
		want(t, tokens, before, notAuthenticated) // Its key is gone.
		if diff := cmp.Diff([]time.Duration{0, auth.KeysApart}, fetches(issuer, begin)); diff != "" {
			t.Error(diff)
		}
	})
}

// A key is replaced under its id: the first token that the new key signs causes a fetch, if one is allowed again, and is
// accepted.
func TestKeyIsReplacedUnderItsID(t *testing.T) {
	for name, row := range map[string]struct {
		alg     string
		set     func(i *issuertest.Issuer) []any // Nil: all keys of the issuer.
		replace func(i *issuertest.Issuer)       // Nil: replaced by a key of the same kind.
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
				want(t, tokens, after, notAuthenticated) // The next fetch is not allowed yet.
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

func TestOldKeysServeWhileNewOnesAreFetched(t *testing.T) {
	bubble(t, func(t *testing.T, issuer *issuertest.Issuer, tokens *auth.Tokens) {
		want(t, tokens, issuer.Token(alice()), ok)
		time.Sleep(auth.KeysAge - 1)
		before := issuer.Token(alice())
		issuer.Rotate()
		issuer.Handle("", slowly(issuer, time.Second))
		for range 2 { // Discovery takes 1 s, and the keys another.
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

// A key that was withdrawn while no token arrived accepts none of the later tokens.
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
