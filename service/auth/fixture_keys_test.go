package auth_test

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/auth/issuertest"
)

// fetches returns when keys were fetched, since begin.
func fetches(issuer *issuertest.Issuer, begin time.Time) []time.Duration {
	var since []time.Duration
	for _, at := range issuer.Fetches(issuertest.Discovery) {
		since = append(since, at.Sub(begin))
	}
	return since
}

// want fails the test unless token has an outcome, and at once.
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

// together verifies a token n times at once, and counts the outcomes.
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

// published answers with a set of keys.
func published(set ...any) http.HandlerFunc { return issuertest.JSON(map[string]any{"keys": set}) }

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
