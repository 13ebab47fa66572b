package callers

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

// When the issuer's keys are fetched: never but for a token. A token waits for that only if its key is not known.
const (
	// KeysAge is how old keys get until a token has them fetched anew.
	KeysAge = 15 * time.Minute
	// keysOld is how old they get until a token waits for that: its key may have been withdrawn in a time without tokens.
	keysOld = 2 * KeysAge
	// KeysApart is how long after the start of a fetch the next may start. So long a new key may go unnoticed.
	KeysApart = 30 * time.Second
)

// keys are those of an issuer, as of the last fetch that succeeded: one that fails leaves them as they are. At most one
// fetch is under way, and all who need it wait for that one.
type keys struct {
	source  *source
	fetches *prometheus.CounterVec

	life context.Context // Ends with close: the context of fetches, which outlive whoever caused them.
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	set     keySet        // Nil until a fetch has succeeded. Guarded by mu; never changed, only replaced.
	fetched time.Time     // When set was got. Guarded by mu.
	started time.Time     // When the last fetch was started; zero before the first. Guarded by mu.
	failure error         // What the last fetch failed with. Guarded by mu.
	flight  chan struct{} // Closed by the fetch that is under way when it has ended; nil if none is. Guarded by mu.
}

func newKeys(c TokensConfig) (*keys, error) {
	source, err := newSource(c)
	if err != nil {
		return nil, err
	}
	m := promauto.With(c.Metrics)
	k := &keys{source: source, fetches: m.NewCounterVec(prometheus.CounterOpts{
		Name: "kootask_oidc_key_fetches_total", Help: "Fetches of the keys of callers' issuer that have ended, by result: ok or failed.",
	}, []string{"result"})}
	for _, result := range []string{resultOK, resultFailed} {
		k.fetches.WithLabelValues(result)
	}
	m.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kootask_oidc_keys_age_seconds",
		Help: "How long ago the keys of callers' issuer were fetched; NaN until they have been. It grows while no token comes.",
	}, k.age)
	k.life, k.end = context.WithCancel(context.Background())
	return k, nil
}

// Values of the label result.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

// find returns the keys with an id, one or more; of an empty id, the issuer's only key. It starts a fetch if it may and
// should, and waits for the one that is under way only if it knows no such key, or has not looked for long. The error is ctx's or a *reason.Error.
func (k *keys) find(ctx context.Context, id string) ([]key, error) {
	found, flight, old := k.known(id)
	if (len(found) == 0 || old) && flight != nil {
		select {
		case <-flight:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		found = k.lookup(id)
	}
	if len(found) == 0 {
		return nil, k.missing()
	}
	return found, nil
}

// known returns the keys with an id, and the end of the fetch that is under way: of one that it starts, if none is and keys
// are missing or old. Nil if none is under way. It reports whether the keys are so old that the fetch is worth waiting for.
func (k *keys) known(id string) (found []key, flight <-chan struct{}, old bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	found = k.set.find(id)
	unknown := len(found) == 0 && (id != "" || k.set == nil)
	wanted := unknown || time.Since(k.fetched) >= KeysAge
	rested := k.started.IsZero() || time.Since(k.started) >= KeysApart
	if wanted && rested && k.flight == nil && k.life.Err() == nil {
		k.started = time.Now()
		k.flight = make(chan struct{})
		k.wg.Go(k.fetch)
	}
	return found, k.flight, time.Since(k.fetched) >= keysOld
}

func (k *keys) lookup(id string) []key {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.set.find(id)
}

// fetch is a flight.
func (k *keys) fetch() {
	set, err := k.source.fetch(k.life)
	result := resultOK
	if err != nil {
		result = resultFailed
	}
	k.fetches.WithLabelValues(result).Inc()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failure = err; err == nil {
		k.set, k.fetched = set, time.Now()
	}
	close(k.flight)
	k.flight = nil
}

// missing says why there is no key: the issuer has no such one, or it could not be asked.
func (k *keys) missing() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.set != nil && k.failure == nil {
		return refuse("the issuer has no such key")
	}
	failure := k.failure
	if failure == nil {
		failure = errors.New("they were not fetched")
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
	k.mu.Unlock()
	k.wg.Wait()
}
