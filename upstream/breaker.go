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
	down     bool // KooDrive fails as a whole, as far as can be told.

	reporting bool // One goroutine calls changed, so that its calls are in order.
	reported  bool // What changed was told last.
	changed   func(bool)
}

// newBreaker returns a breaker. It calls changed, one call at a time and without a lock, when KooDrive begins to fail as a whole, or as
// far as its only caller can tell, and when it works again. changed must not block.
func newBreaker(changed func(bool)) *breaker {
	return &breaker{circuits: map[Key]*circuit{}, common: &circuit{scope: scopeAll}, changed: changed}
}

// voter is whose request it is, and for what: its caller and its queue have a circuit each.
type voter struct {
	caller, queue Key
	task          string
}

// entry lets one request be made. Its end must be called.
type entry struct {
	breaker *breaker
	voter   voter
	probes  []*circuit
	sent    bool // The request was sent: otherwise its end says nothing of KooDrive.
}

// enter lets a request be made, or returns a [*CircuitOpenError].
func (b *breaker) enter(v voter) (*entry, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.expireLocked(now)
	if err := b.refusalLocked(v, now); err != nil {
		for _, c := range b.ofLocked(v) {
			c.waits = c.waits || c.open && c.last != c.who(v)
		}
		return nil, err
	}
	e := &entry{breaker: b, voter: v}
	for _, c := range b.ofLocked(v) {
		if c.open {
			c.probing = true
			e.probes = append(e.probes, c)
		}
	}
	return e, nil
}

// check returns the error with which enter would refuse a request now.
func (b *breaker) check(v voter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusalLocked(v, time.Now())
}

// check returns an error if a circuit has opened since the request entered.
func (e *entry) check() error {
	b := e.breaker
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.ofLocked(e.voter) {
		if c.open && !slices.Contains(e.probes, c) {
			return &CircuitOpenError{Scope: c.scope, RetryAfter: max(0, time.Until(c.until))}
		}
	}
	return nil
}

// end takes the result of the request.
func (e *entry) end(err error) {
	b, now := e.breaker, time.Now()
	works, tells := tells(err)
	works, tells = works && e.sent, tells && e.sent
	b.mu.Lock()
	b.expireLocked(now)
	for _, c := range e.probes {
		c.probing = false
		switch {
		case works:
			b.closeLocked(c)
		case tells:
			c.last, c.waits = c.who(e.voter), false
			c.until = now.Add(BreakerPause)
		default: // The next probe decides. If somebody else waits, it is not this caller's.
			c.last, c.until = c.who(e.voter), now
			if c == b.common {
				c.until = now.Add(NeutralPause)
			}
		}
	}
	if tells {
		b.countLocked(e.voter, now, !works)
	}
	b.down = b.down && (!works || b.common.open)
	b.mu.Unlock()
	b.report()
}

// report passes on whether KooDrive works, if that has changed. What changes while changed runs is passed on by the goroutine that
// called it.
func (b *breaker) report() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.reporting || b.changed == nil {
		return
	}
	b.reporting = true
	for b.reported != b.down {
		b.reported = b.down
		down := b.down
		b.mu.Unlock()
		b.changed(down)
		b.mu.Lock()
	}
	b.reporting = false
}

// state returns whether KooDrive is taken to fail as a whole, and how many circuits of callers and addresses are open.
func (b *breaker) state() (down bool, open int) {
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
	return b.down, open
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
