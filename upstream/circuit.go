package upstream

import "time"

// circuit counts the attempts of one caller, one address or all callers.
type circuit struct {
	scope              string
	key                Key  // In breaker.circuits. Zero for the common circuit.
	votes              bool // It votes in the common circuit.
	attempts, failures int
	tasks              map[string]int // Failures by task.
	round              int            // Incremented when the counts restart. Attempts of an earlier round are not in them.

	open    bool
	until   time.Time // When it lets a probe through.
	probing bool      // A probe is in flight.
	last    Key       // Identity of the last unsuccessful probe: see who.
	waits   bool      // Another caller was refused since.
}

// attempt is a request that has ended as a success or a failure.
type attempt struct {
	at     time.Time
	task   string
	failed bool
	counts [maxCircuits]count // Those without a circuit are unused.
}

// maxCircuits is the number of circuits that a request may depend on: its caller's, its address's and the common one.
const maxCircuits = 3

// count records that an attempt is counted in a circuit.
type count struct {
	circuit *circuit
	round   int
}

// Scopes of circuits.
const (
	scopeCaller  = "caller"
	scopeAddress = "address"
	scopeAll     = "all"
)

// ofLocked returns the circuits that a request depends on: its caller's, its address's if it uses that queue, and the
// common one.
func (b *breaker) ofLocked(v voter) []*circuit {
	all := make([]*circuit, 0, maxCircuits)
	for _, c := range []*circuit{b.circuits[v.caller], b.circuits[v.queue]} {
		if c != nil && (len(all) == 0 || all[0] != c) {
			all = append(all, c)
		}
	}
	return append(all, b.common)
}

// refusalLocked returns the error of the first open circuit that a request depends on; nil without one.
func (b *breaker) refusalLocked(v voter, now time.Time) error {
	for _, c := range b.ofLocked(v) {
		left := c.until.Sub(now)
		// While another caller waits, the caller of the last probe waits one pause longer.
		if c.waits && c.last == c.who(v) {
			left += BreakerPause
		}
		if c.open && (left > 0 || c.probing) {
			return &CircuitOpenError{Scope: c.scope, RetryAfter: max(0, left)}
		}
	}
	return nil
}

// who returns the identity by which a circuit tells its probes apart: the queue's for the common circuit, otherwise the
// caller's.
func (c *circuit) who(v voter) Key {
	if c.scope == scopeAll {
		return v.queue
	}
	return v.caller
}

// countLocked counts an attempt in its circuits, and opens those that have now failed too often. An attempt that ends
// while a circuit is open does not count there: the probe decides.
func (b *breaker) countLocked(v voter, now time.Time, failed bool) {
	known := v.queue == v.caller
	concerned := [maxCircuits]*circuit{0: b.circuitLocked(v.caller, scopeCaller, known), 2: b.common}
	if !known {
		concerned[1] = b.circuitLocked(v.queue, scopeAddress, true)
	}
	a := attempt{at: now, task: v.task, failed: failed}
	for i, c := range concerned {
		if c != nil && !c.open {
			a.counts[i] = count{circuit: c, round: c.round}
			b.addLocked(c, &a, 1)
		}
	}
	b.window = append(b.window, a)
	if !failed {
		b.streak = 0
		return
	}
	b.streak++
	for _, at := range a.counts {
		if at.circuit != nil && b.tripsLocked(at.circuit) {
			b.openLocked(at.circuit, now)
		}
	}
}

// circuitLocked returns the circuit of a caller or an address.
func (b *breaker) circuitLocked(key Key, scope string, votes bool) *circuit {
	c := b.circuits[key]
	if c == nil {
		c = &circuit{scope: scope, key: key, votes: votes}
		b.circuits[key] = c
	}
	if c.votes != votes { // KooDrive has accepted its caller, or not for a long time.
		b.voteLocked(c, -1)
		c.votes = votes
		b.voteLocked(c, 1)
	}
	return c
}

// addLocked adds an attempt to a circuit's counts (by 1), or removes it (by -1).
func (b *breaker) addLocked(c *circuit, a *attempt, by int) {
	b.voteLocked(c, -1)
	defer b.voteLocked(c, 1)
	c.attempts += by
	if !a.failed {
		return
	}
	c.failures += by
	if c.tasks == nil {
		c.tasks = map[string]int{}
	}
	if c.tasks[a.task] += by; c.tasks[a.task] == 0 {
		delete(c.tasks, a.task)
	}
}

// voteLocked adds the vote of a circuit (by 1), or removes it (by -1). An open circuit votes as failing, even if its
// attempts have left the window.
func (b *breaker) voteLocked(c *circuit, by int) {
	if !c.votes || c.attempts == 0 && !c.open {
		return
	}
	b.votes.all += by
	if c.open || 2*c.failures > c.attempts {
		b.votes.failing += by
	}
}

// tripsLocked reports whether the attempts of a circuit are enough to open it.
func (b *breaker) tripsLocked(c *circuit) bool {
	enough := c.attempts >= BreakerAttempts && float64(c.failures) >= BreakerShare*float64(c.attempts)
	switch c.scope {
	case scopeCaller:
		return enough
	case scopeAddress:
		return enough && len(c.tasks) >= BreakerTasks
	default:
		return enough && len(c.tasks) >= BreakerTasks && b.votes.all > 1 && 2*b.votes.failing > b.votes.all
	}
}

func (b *breaker) openLocked(c *circuit, now time.Time) {
	b.voteLocked(c, -1)
	c.open, c.until, c.last, c.waits = true, now.Add(BreakerPause), Key{}, false
	b.voteLocked(c, 1)
	// With only one active caller, its circuit is as good as the common one. A caller that KooDrive has just accepted
	// has two votes for a while: its address's and its own.
	if c == b.common || b.votes.all <= 1 || b.streak >= BreakerShare*BreakerAttempts && 2*b.votes.failing >= b.votes.all {
		b.down = true
	}
	b.sweepLocked(now)
}

// closeLocked closes a circuit and restarts its counts.
func (b *breaker) closeLocked(c *circuit) {
	b.voteLocked(c, -1)
	c.open, c.round = false, c.round+1
	c.attempts, c.failures, c.tasks = 0, 0, nil
}

// expireLocked removes the attempts that have left the window. The others move to the start of the slice once they are
// fewer: so a window that moves on does not grow, and each attempt is copied about once. After a burst, they move to a
// smaller slice.
func (b *breaker) expireLocked(now time.Time) {
	for b.gone < len(b.window) && now.Sub(b.window[b.gone].at) >= BreakerWindow {
		a := &b.window[b.gone]
		for _, at := range a.counts {
			if at.circuit == nil {
				continue
			}
			if at.round == at.circuit.round {
				b.addLocked(at.circuit, a, -1)
			}
			b.dropLocked(at.circuit, now)
		}
		b.gone++
	}
	if b.gone > len(b.window)/2 {
		left := b.window[b.gone:]
		if cap(b.window) > 4*len(left) {
			b.window = append(make([]attempt, 0, 2*len(left)), left...)
		} else {
			clear(b.window[copy(b.window, left):])
			b.window = b.window[:len(left)]
		}
		b.gone = 0
	}
}

// dropLocked removes a circuit that holds no information any more.
func (b *breaker) dropLocked(c *circuit, now time.Time) {
	idle := !c.open || !c.probing && now.Sub(c.until) >= BreakerWindow
	if c.attempts == 0 && idle && b.circuits[c.key] == c {
		b.voteLocked(c, -1)
		delete(b.circuits, c.key)
	}
}

// sweepLocked removes open circuits without requests since their pause. No attempt in the window leads to them.
func (b *breaker) sweepLocked(now time.Time) {
	for _, c := range b.circuits {
		b.dropLocked(c, now)
	}
}
