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

// When the issuer's keys are fetched: first for a token; then in the background when they are old, and for a token that
// none of them verifies. That token waits for the fetch. A token that a known key verifies never waits.
const (
	// KeysAge is how old keys get before they are fetched again, whether tokens come or not: a withdrawn key is good no
	// longer than that while the issuer answers.
	KeysAge = 15 * time.Minute
	// KeysApart is how long after the start of a fetch the next may start. For so long a new key may go unnoticed.
	KeysApart = 30 * time.Second
)

// keys are those of an issuer, as of the last fetch that succeeded: one that fails leaves them as they are. At most one
// fetch is in flight, and all who need it wait for that one.
type keys struct {
	source  *source
	fetches *prometheus.CounterVec

	life context.Context // Ends with close: the context of fetches, which outlive whoever caused them.
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	set     keySet        // Nil until a fetch has succeeded. Guarded by mu; never changed, only replaced.
	version int           // How many fetches have succeeded. Guarded by mu.
	fetched time.Time     // When set was got. Guarded by mu.
	started time.Time     // When the last fetch was started; zero before the first. Guarded by mu.
	failure error         // What the last fetch failed with. Guarded by mu.
	flight  chan struct{} // Closed by the fetch in flight when it has ended; nil if there is none. Guarded by mu.
	renewal *time.Timer   // Starts the next fetch in the background; nil while nothing is known. Guarded by mu.
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

// known returns the keys that there are, and their version: none, and 0, until a fetch has succeeded. It does not block.
func (k *keys) known() (set keySet, version int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set, k.version
}

// after returns newer keys than those of a version, nil if there are none. It starts a fetch if it may, and waits for the
// fetch in flight. The error is ctx's own.
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

// renew starts a fetch unless there are newer keys than those of a version, a fetch is in flight, or the last one began
// less than KeysApart ago. It returns the end of the fetch in flight, nil if nobody needs to wait for one.
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

// fetch is a flight.
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

// missing says why there is no key: the issuer has no such one, or it could not be asked.
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
		Cause: fmt.Errorf("the keys of the issuer: %w", failure),
	}
}

// age is in seconds.
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
	k.end() // With mu held: nobody is about to start a fetch that is not waited for.
	k.stopRenewalLocked()
	k.mu.Unlock()
	k.wg.Wait()
}
