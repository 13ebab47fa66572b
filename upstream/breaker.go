package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A circuit opens when BreakerShare of at least BreakerAttempts requests within BreakerWindow have failed. It stays open for
// BreakerPause, and then lets one request through, the probe, which closes it or opens it again. A circuit that many share
// opens only if requests for BreakerTasks different tasks are among those that failed: one task alone may be the one to blame.
const (
	BreakerShare    = 0.5
	BreakerAttempts = 20
	BreakerTasks    = 3
	BreakerWindow   = 10 * time.Second
	BreakerPause    = 5 * time.Second
)

// NeutralPause is how long after a probe that was neither a success nor a failure the common circuit lets the next one through.
const NeutralPause = time.Second

// CircuitOpenError means that KooDrive was not asked, because too many requests have failed.
type CircuitOpenError struct {
	// Scope is whose requests they were: "caller", "address" (of callers whom KooDrive has not answered lately) or "all".
	Scope string
	// RetryAfter is when KooDrive is asked again; 0 if a probe is in flight.
	RetryAfter time.Duration
}

func (e *CircuitOpenError) Error() string {
	return fmt.Sprintf("the circuit breaker (%s) is open for %v", e.Scope, e.RetryAfter.Round(time.Millisecond))
}

// breaker stops requests that are likely to fail, for those whose requests have failed and for nobody else. Each caller has
// a circuit; callers whom KooDrive has not answered lately also share the circuit of their address, since they may all be
// one; and there is a common circuit, for a KooDrive that fails as a whole.
//
// In the common circuit each caller has one vote, and so has each address for all callers that share its circuit. It opens
// when most of those who vote have failed with most of their requests. The vote of a single one opens only its own circuit.
//
// A task in the answer is a success. No answer, a 5xx and an unreadable answer are failures. A refusal, and a request that
// its caller has given up, are neither.
//
// circuitbreaker libraries count for one circuit; the votes, and the circuits that come and go with their callers, are why
// this is not one of theirs.
type breaker struct {
	mu       sync.Mutex
	window   []attempt        // The attempts of BreakerWindow, oldest first: as many as the rate allows. Guarded by mu, as are the rest.
	circuits map[Key]*circuit // Of callers and addresses that have attempts in the window, or whose circuit is not closed.
	common   *circuit         // Not in circuits.
	votes    struct{ all, failing int }
	streak   int  // How many attempts have failed since KooDrive last answered anybody.
	resting  bool // KooDrive is taken to fail as a whole.

	telling sync.Mutex // Held while rests is called, so that its calls are in order. Taken before mu.
	told    bool       // What rests was told last. Guarded by telling.
	rests   func(bool)
}

// newBreaker returns a breaker. rests is told when KooDrive begins to fail as a whole, or as far as its only caller can tell,
// and when it works again. It must not block.
func newBreaker(rests func(bool)) *breaker {
	return &breaker{circuits: map[Key]*circuit{}, common: &circuit{scope: scopeAll}, rests: rests}
}

// admission lets one request be made. Its end must be called.
type admission struct {
	breaker *breaker
	query   Query
	probes  []*circuit
	sent    bool // The request was sent: otherwise its end says nothing of KooDrive.
}

// admit lets a request be made, or returns a [*CircuitOpenError].
func (b *breaker) admit(q Query) (*admission, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.expireLocked(now)
	if err := b.refusalLocked(q, now); err != nil {
		for _, c := range b.ofLocked(q) {
			c.waits = c.waits || c.open && c.last != c.who(q)
		}
		return nil, err
	}
	a := &admission{breaker: b, query: q}
	for _, c := range b.ofLocked(q) {
		if c.open {
			c.probing = true
			a.probes = append(a.probes, c)
		}
	}
	return a, nil
}

// check returns the error with which admit would refuse a query now.
func (b *breaker) check(q Query) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusalLocked(q, time.Now())
}

// check returns an error if a circuit has opened since the request was admitted.
func (a *admission) check() error {
	b := a.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.ofLocked(a.query) {
		if c.open && !slices.Contains(a.probes, c) {
			return &CircuitOpenError{Scope: c.scope, RetryAfter: max(0, time.Until(c.until))}
		}
	}
	return nil
}

// end takes the result of the request.
func (a *admission) end(err error) {
	b, now := a.breaker, time.Now()
	works, tells := tells(err)
	works, tells = works && a.sent, tells && a.sent
	b.mu.Lock()
	b.expireLocked(now)
	for _, c := range a.probes {
		c.probing = false
		switch {
		case works:
			b.closeLocked(c)
		case tells:
			c.last, c.waits = c.who(a.query), false
			c.until = now.Add(BreakerPause)
		default: // The next probe decides. If somebody else waits, it is not this caller's.
			c.last, c.until = c.who(a.query), now
			if c == b.common {
				c.until = now.Add(NeutralPause)
			}
		}
	}
	if tells {
		b.countLocked(a.query, now, !works)
	}
	b.resting = b.resting && (!works || b.common.open)
	b.mu.Unlock()
	b.tell()
}

// tell passes on whether KooDrive works, if that has changed.
func (b *breaker) tell() {
	b.telling.Lock()
	defer b.telling.Unlock()
	b.mu.Lock()
	resting := b.resting
	b.mu.Unlock()
	if resting != b.told && b.rests != nil {
		b.rests(resting)
	}
	b.told = resting
}

// state returns whether KooDrive is taken to fail as a whole, and how many circuits of callers and addresses are open.
func (b *breaker) state() (resting bool, open int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.expireLocked(now)
	b.sweepLocked(now)
	for _, c := range b.circuits {
		if c.open {
			open++
		}
	}
	return b.resting, open
}

// tells is what the end of a request tells of KooDrive: whether it works, if it tells anything.
func tells(err error) (works, tells bool) {
	var status *StatusError
	var answer *AnswerError
	var transport *TransportError
	switch {
	case err == nil:
		return true, true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &transport):
		return false, false
	case errors.As(err, &status):
		return false, status.Status >= http.StatusInternalServerError
	case errors.As(err, &answer):
		return false, answer.Fault == Malformed
	case errors.As(err, &transport):
		return false, transport.Fault != Untrusted && transport.Fault != ProxyRefused
	default:
		return false, false
	}
}
