package watch

import (
	"math"
	"time"
)

// Answer is what a poll brought.
type Answer[V any] struct {
	Value V
	// At is when it was true.
	At time.Time
}

// State is how a key stands.
type State[V any] struct {
	// Answer is the newest one whose value was published, with the time at which a poll last confirmed it. The zero
	// value as long as Revision is 0.
	Answer[V]
	// Revision counts the values that were published.
	Revision uint64
	// Since is when the value was true first.
	Since time.Time
	// Failures is how many polls have failed in succession, and Err is what the last of them failed with.
	Failures int
	Err      error
	// Doubted tells that the last poll failed with an error that may end the watch: until an answer clears it, nobody is
	// shown what was known before.
	Doubted bool
	// Ended tells that nothing will change any more: without Err the value is final, otherwise Err is why.
	Ended bool
}

// Verdict is how the error of a poll is taken.
type Verdict struct {
	// Kind tells errors apart: strikes are counted kind by kind.
	Kind string
	// Tolerance is how many errors of the kind in succession end the watch; negative: none do. An answer starts the count
	// over, an error that is tolerated without limit leaves it. Before the first value, one ends the watch.
	Tolerance int
	// Wait is how long KooDrive is to be left alone at least. 0: as after any failure.
	Wait time.Duration
}

// core decides what to publish, when to poll next and when to end, from what polls bring. What comes after the end
// changes nothing. It has no goroutine, no lock and no clock.
type core[V any] struct {
	config   Config[V]
	state    State[V]
	interval time.Duration // Between polls while nothing changes and nothing fails.
	kind     string        // Of the last strike.
	strikes  int           // In succession, of that kind.
	heard    time.Time     // When the last answer came; before, when the poller began.
	overtime overtime
}

// change is what became of a key.
type change struct {
	news      bool          // Watchers have something to see.
	regressed bool          // A value was held back for its lower rank.
	wait      time.Duration // Until the next poll.
}

// answered takes the answer of a poll.
func (c *core[V]) answered(a Answer[V]) (done change) {
	s := &c.state
	if s.Ended {
		return change{}
	}
	s.Failures, s.Err = 0, nil
	c.kind, c.strikes = "", 0
	done.news, s.Doubted = s.Doubted, false // New watchers have not been shown anything meanwhile.
	switch {
	case s.Revision == 0 || c.config.Rank(a.Value) >= c.config.Rank(s.Value) && !c.config.Same(a.Value, s.Value):
		s.Answer, s.Since = a, a.At
		s.Revision++
		s.Ended = c.config.Final(a.Value)
		c.interval = c.config.Min
		done.news = true
	case c.config.Same(a.Value, s.Value):
		s.At = a.At
		c.grow()
	default: // A step back: KooDrive's nodes disagree. It is an answer, and confirms nothing.
		done.regressed = true
		c.grow()
	}
	done.wait = c.jitter(c.interval)
	return done
}

// failed takes the error of a poll, and how it is taken.
func (c *core[V]) failed(err error, verdict Verdict) change {
	s := &c.state
	if s.Ended {
		return change{}
	}
	s.Failures++
	s.Err = err
	if verdict.Tolerance >= 0 && c.strike(verdict) {
		s.Ended = true
		return change{news: true}
	}
	switch overtime := !c.overtime.until.IsZero(); {
	case overtime && c.overtime.decides:
		return c.end(c.config.Stale(err))
	case overtime: // The next poll decides.
		return change{news: s.Revision == 0}
	}
	doubled := float64(max(c.interval, c.config.Min)) * math.Pow(Backoff, float64(s.Failures))
	wait := c.jitter(time.Duration(min(doubled, float64(c.config.BackoffMax))))
	if atLeast := verdict.Wait; wait < atLeast { // What is asked for is never shortened, and made longer up to the limit alone.
		longer := atLeast + time.Duration(JitterShare*c.config.Random()*float64(atLeast))
		wait = max(atLeast, min(longer, c.config.WaitMax))
	}
	// Watchers that wait for a first value learn that there is none.
	return change{news: s.Revision == 0, wait: wait}
}

// strike counts an error that is not tolerated for ever, and reports whether it was one too many.
func (c *core[V]) strike(v Verdict) bool {
	if c.kind != v.Kind {
		c.kind, c.strikes = v.Kind, 0
	}
	c.strikes++
	c.state.Doubted = true
	return c.strikes >= v.Tolerance || c.state.Revision == 0
}

// stale takes that a watch may have been without an answer for too long. It ends the watch, or returns how long to wait before it is
// called again: an answer has come meanwhile, or there is overtime.
func (c *core[V]) stale(now time.Time) change {
	if since := c.heard.Add(c.config.StaleAfter); now.Before(since) {
		return change{wait: since.Sub(now)}
	}
	if c.grant(now) {
		return change{wait: c.overtime.until.Sub(now)}
	}
	return c.end(c.config.Stale(c.state.Err))
}

// grant reports whether there is overtime for a watch that is stale.
func (c *core[V]) grant(now time.Time) bool {
	return c.overtime.grant(now, c.heard.Add(c.config.StaleAfter), c.config.StaleAfter)
}

// ended takes when a poll has ended, before what it has brought.
func (c *core[V]) ended(now time.Time, err error) {
	switch stale := c.config.StaleAfter > 0 && !now.Before(c.heard.Add(c.config.StaleAfter)); {
	case err == nil:
		c.heard = now
		c.overtime.until = time.Time{}
	case stale: // The timer of staleness may be late, too.
		c.grant(now)
	}
}

// end takes an end that comes from elsewhere.
func (c *core[V]) end(err error) change {
	if c.state.Ended {
		return change{}
	}
	c.state.Err, c.state.Ended = err, true
	return change{news: true}
}

const (
	// Growth is by how much an interval grows when nothing has changed.
	Growth = 1.5
	// Backoff is by how much a wait grows with each failure.
	Backoff = 2
	// JitterShare is the share by which an interval is shorter or longer at random.
	JitterShare = 0.2
)

func (c *core[V]) grow() {
	c.interval = min(time.Duration(Growth*float64(c.interval)), c.config.Max)
}

// jitter returns d, up to a fifth shorter or longer, so that polls that began together do not stay together.
func (c *core[V]) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - JitterShare + 2*JitterShare*c.config.Random()))
}
