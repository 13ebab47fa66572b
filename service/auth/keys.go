package auth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/kootask/kootask/service/reason"
)

// The issuer's keys are fetched first for a token, then in the background when they are old, and for a token that no
// known key verifies. Only that token waits for the fetch.
const (
	// KeysAge is the age at which keys are fetched again, with or without tokens. While the issuer answers, a withdrawn
	// key stays valid no longer than this.
	KeysAge = 15 * time.Minute
	// KeysApart is the minimum time between the starts of two fetches. For so long, a new key may go unnoticed.
	KeysApart = 30 * time.Second
)

// keys caches an issuer's keys as of the last successful fetch. At most one fetch is in flight, and all that need it
// wait for it.
type keys struct {
	source  *source
	fetches *prometheus.CounterVec

	life context.Context // The context of fetches, which outlive the call that caused them. Ended by close.
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	set     keySet        // Nil until a fetch has succeeded. Guarded by mu; never changed, only replaced.
	version int           // Number of successful fetches. Guarded by mu.
	fetched time.Time     // Time of the last successful fetch. Guarded by mu.
	started time.Time     // Start of the last fetch; zero before the first. Guarded by mu.
	failure error         // Error of the last fetch. Guarded by mu.
	flight  chan struct{} // Closed by fetch at its end; nil while no fetch is in flight. Guarded by mu.
	renewal *time.Timer   // Starts the next fetch in the background; nil before the first success. Guarded by mu.
}

func newKeys(c TokensConfig) (*keys, error) {
	source, err := newSource(c)
	if err != nil {
		return nil, err
	}
	m := promauto.With(c.Metrics)
	k := &keys{source: source, fetches: m.NewCounterVec(prometheus.CounterOpts{
		Name: "kootask_oidc_key_fetches_total", Help: "Fetches of the issuer's keys, by result: ok or failed.",
	}, []string{"result"})}
	for _, result := range []string{resultOK, resultFailed} {
		k.fetches.WithLabelValues(result)
	}
	m.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kootask_oidc_keys_age_seconds",
		Help: "Age of the issuer's keys. NaN before the first successful fetch; above 15 minutes only while fetches fail.",
	}, k.age)
	k.life, k.end = context.WithCancel(context.Background())
	return k, nil
}

// Values of the label result.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

// known returns the present keys and their version; nil and 0 before the first successful fetch. It does not block.
func (k *keys) known() (set keySet, version int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set, k.version
}

// after returns keys newer than a version; nil without one. It starts a fetch if one is allowed, and waits for
// the fetch in flight. Its only error is ctx's.
func (k *keys) after(ctx context.Context, version int) (keySet, error) {
	if flight := k.renew(version); flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if set, now := k.known(); now != version {
		return set, nil
	}
	return nil, nil
}

// renew starts a fetch, unless there are newer keys than version's, a fetch is in flight, or the last one began less
// than KeysApart ago. It returns a channel that is closed when the fetch in flight ends; nil if there is nothing to
// wait for.
func (k *keys) renew(version int) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.version != version {
		return nil
	}
	rested := k.started.IsZero() || time.Since(k.started) >= KeysApart
	if k.flight == nil && rested && k.life.Err() == nil {
		k.stopRenewalLocked()
		k.started = time.Now()
		k.flight = make(chan struct{})
		k.wg.Go(k.fetch)
	}
	return k.flight
}

// fetch makes the fetch in flight, and schedules the next one once there are keys.
func (k *keys) fetch() {
	set, err := k.source.fetch(k.life)
	result, wait := resultOK, KeysAge
	if err != nil {
		result, wait = resultFailed, KeysApart
	}
	k.fetches.WithLabelValues(result).Inc()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failure = err; err == nil {
		k.set, k.version, k.fetched = set, k.version+1, time.Now()
	}
	if version := k.version; version > 0 && k.life.Err() == nil {
		k.renewal = time.AfterFunc(wait-time.Since(k.started), func() { k.renew(version) })
	}
	close(k.flight)
	k.flight = nil
}

func (k *keys) stopRenewalLocked() {
	if k.renewal != nil {
		k.renewal.Stop()
	}
}

// missing returns the error of a token without a key: the issuer has no such key, or its keys cannot be fetched.
func (k *keys) missing() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set != nil && k.failure == nil {
		return notAuthenticated(errNoKey)
	}
	failure := k.failure
	if failure == nil {
		failure = errors.New("not fetched yet")
	}
	return &reason.Error{
		Outcome: reason.CallerKeysUnavailable, RetryAfter: max(0, KeysApart-time.Since(k.started)),
		Cause: fmt.Errorf("fetching the keys of the issuer: %w", failure),
	}
}

// age returns the age of the keys in seconds; NaN before the first successful fetch.
func (k *keys) age() float64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set == nil {
		return math.NaN()
	}
	return time.Since(k.fetched).Seconds()
}

func (k *keys) close() {
	k.mu.Lock()
	k.end() // With mu held, renew cannot start a fetch that nobody waits for.
	k.stopRenewalLocked()
	k.mu.Unlock()
	k.wg.Wait()
}
