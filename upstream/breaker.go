package upstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// A circuit opens when at least BreakerAttempts requests within BreakerWindow have ended and a share of BreakerShare
// has failed. After BreakerPause it lets one request through, the probe, which closes it or opens it again. A shared
// circuit opens only if the failed requests are for at least BreakerTasks different tasks: a single task may be the
// cause.
const (
	BreakerShare    = 0.5
	BreakerAttempts = 20
	BreakerTasks    = 3
	BreakerWindow   = 10 * time.Second
	BreakerPause    = 5 * time.Second
)

// NeutralPause is the wait of the common circuit after a probe that neither succeeded nor failed.
const NeutralPause = time.Second

// CircuitOpenError reports that the request was not sent, because too many have failed.
type CircuitOpenError struct {
	// Scope is the circuit that is open: "caller", "address" (of callers that KooDrive has not answered lately) or
	// "all".
	Scope string
	// RetryAfter is the time until the next probe; 0 if one is in flight.
	RetryAfter time.Duration
}

func (e *CircuitOpenError) Error() string {
	return fmt.Sprintf("the circuit breaker (%s) is open for %v", e.Scope, e.RetryAfter.Round(time.Millisecond))
}

// breaker stops requests that are likely to fail, and only those. Each caller has a circuit. Callers that KooDrive has
// not answered lately also share the circuit of their address, since they may be the same client. The common circuit is
// for a KooDrive that fails as a whole.
//
// In the common circuit each caller has one vote, and so has each address for all callers that share its circuit. It
// opens when most voters have failed with most of their requests. A single voter opens only its own circuit.
//
// A task in the answer is a success. A missing answer, a 5xx and an unreadable answer are failures. A refusal, and a
// request that its caller has cancelled, are neither.
//
// Circuit breaker libraries count for one circuit. They lack votes, and circuits that come and go with their callers.
type breaker struct {
	mu sync.Mutex
	// The attempts of BreakerWindow, oldest first, after those that have left it; the rate limits their number. Guarded
	// by mu, as are the fields below.
	window   []attempt
	gone     int              // The number of attempts at the start of window that have left it.
	circuits map[Key]*circuit // Circuits of callers and addresses that have attempts in the window or are open.
	common   *circuit         // Of all callers. Not in circuits.
	votes    struct{ all, failing int }
	streak   int  // Consecutive failed attempts, of all callers.
	down     bool // KooDrive seems to fail as a whole.

	reporting bool // A goroutine is calling changed. Only one does, to keep the calls in order.
	reported  bool // The value of down that changed was last called with.
	changed   func(bool)
}

// newBreaker returns a breaker. It calls changed with true when KooDrive begins to fail as a whole, or for its only
// active caller, and with false when it works again. The calls are made one at a time and without a lock. changed must
// not block.
func newBreaker(changed func(bool)) *breaker {
	return &breaker{circuits: map[Key]*circuit{}, common: &circuit{scope: scopeAll}, changed: changed}
}

// voter identifies a request in the breaker: its caller and its queue have a circuit each.
type voter struct {
	caller, queue Key
	task          string
}

// entry is the permission to make one request. Its end must be called.
type entry struct {
	breaker *breaker
	voter   voter
	probes  []*circuit // The circuits for which the request is the probe.
	sent    bool       // The request was sent. Otherwise its end says nothing about KooDrive.
}

// enter permits a request, or returns a [*CircuitOpenError].
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

// check returns the error with which enter would refuse a request now; nil if it would not.
func (b *breaker) check(v voter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusalLocked(v, time.Now())
}

// check returns an error if a circuit has opened since enter.
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

// end records the result of the request.
func (e *entry) end(err error) {
	b, now := e.breaker, time.Now()
	works, counts := evidence(err)
	works, counts = works && e.sent, counts && e.sent
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expireLocked(now)
	for _, c := range e.probes {
		c.probing = false
		switch {
		case works:
			b.closeLocked(c)
		case counts:
			c.last, c.waits = c.who(e.voter), false
			c.until = now.Add(BreakerPause)
		default: // The next probe decides. If another caller waits, the probe is that one's.
			c.last, c.until = c.who(e.voter), now
			if c == b.common {
				c.until = now.Add(NeutralPause)
			}
		}
	}
	if counts {
		b.countLocked(e.voter, now, !works)
	}
	b.down = b.down && (!works || b.common.open)
	b.reportLocked()
}

// reportLocked calls changed if down has changed. A change during a call is reported by the goroutine that makes the
// call.
func (b *breaker) reportLocked() {
	if b.reporting || b.changed == nil {
		return
	}
	b.reporting = true
	for b.reported != b.down {
		b.reported = b.down
		b.callLocked(b.down)
	}
	b.reporting = false
}

// callLocked calls changed without the lock, which it takes again even if changed panics.
func (b *breaker) callLocked(down bool) {
	b.mu.Unlock()
	defer b.mu.Lock()
	b.changed(down)
}

// state returns whether KooDrive seems to fail as a whole, and the number of open circuits of callers and addresses.
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

// evidence returns whether the end of a request counts as a success or a failure of KooDrive, and whether it counts at
// all.
func evidence(err error) (works, counts bool) {
	if err == nil {
		return true, true
	}
	var status *StatusError
	var answer *AnswerError
	var transport *TransportError
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &transport):
		return false, false
	case errors.As(err, &status):
		return false, status.failed()
	case errors.As(err, &answer):
		return false, answer.Fault == Malformed
	case errors.As(err, &transport):
		return false, transport.Fault != Untrusted && transport.Fault != ProxyRefused
	default:
		return false, false
	}
}
