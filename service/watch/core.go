package watch

import (
	"math"
	"sync"
	"time"
)

// Answer is the result of a poll.
type Answer[V any] struct {
	Value V
	// At is when the value was true.
	At time.Time
}

// State is the published state of a key.
type State[V any] struct {
	// Answer is the last published value, with the time at which a poll last confirmed it. Zero while Revision is 0.
	Answer[V]
	// Revision counts the published values.
	Revision uint64
	// Since is when the value was first true.
	Since time.Time
	// Heard is when the last answer came, also if it confirms nothing; zero before the first.
	Heard time.Time
	// Failures is the number of consecutive failed polls. Err is the error of the last one, at the time Failed; nil if it
	// succeeded.
	Failures int
	Err      error
	Failed   time.Time
	// Doubted is set while the last errors may end the watch, and Doubt is the last of these errors. Until an answer clears
	// them, the value must not be shown.
	Doubted bool
	Doubt   error
	// Ended is set once nothing can change any more. Err is the reason; nil: the value is final.
	Ended bool
	// Memo keeps the messages that watchers make of the state. It is replaced when another field changes. Nil while
	// Revision is 0 and Err is nil.
	Memo *Memo
}

// Memo keeps a result, so that it is made once. It is safe for concurrent use.
type Memo struct {
	once sync.Once
	made any
}

// Do returns the result of the first call of make.
func (m *Memo) Do(make func() any) any {
	m.once.Do(func() { m.made = make() })
	return m.made
}

// Verdict says how to treat the error of a poll.
type Verdict struct {
	// Kind groups errors: strikes are counted per kind.
	Kind string
	// Tolerance is the number of consecutive errors of one kind that end the watch. Before the first value, 1 error
	// ends it. Negative: such errors never end it. An answer resets the count; an error with negative tolerance does
	// not change it.
	Tolerance int
	// Wait is the minimum wait before the next poll. 0: the usual backoff.
	Wait time.Duration
}

// core is the state machine of a watch: given the results of polls, it decides what to publish, when to poll next and
// when to end. After the end it ignores results. It has no goroutine, lock or clock.
type core[V any] struct {
	config   *Config[V]
	state    *State[V]     // The published one. During an event, a copy of it, which is published afterwards.
	interval time.Duration // Between polls, while nothing changes or fails.
	kind     string        // Kind of the last strike.
	strikes  int           // Consecutive strikes of that kind.
	heard    time.Time     // Time of the last answer; before the first, of the poller's start.
	overtime overtime
}

// change is the effect of an event on a key.
type change struct {
	news      bool          // Watchers must be woken.
	regressed bool          // A value of a lower rank was held back.
	wait      time.Duration // Until the next poll.
}

// answered handles the answer of a poll.
func (c *core[V]) answered(a Answer[V]) (done change) {
	s := c.state
	if s.Ended {
		return change{}
	}
	s.Failures, s.Err, s.Memo = 0, nil, &Memo{}
	c.kind, c.strikes = "", 0
	done.news, s.Doubted, s.Doubt = s.Doubted, false, nil // While in doubt, new watchers were shown nothing.
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
	default: // A step back: KooDrive's nodes disagree. It is an answer, but does not confirm the value.
		done.regressed = true
		c.grow()
	}
	done.wait = c.jitter(c.interval)
	return done
}

// failed handles the error of a poll, in this order:
//  1. A strike may end the watch.
//  2. In overtime, the poll that decides ends the watch as stale; any other is followed by one that decides, at once.
//  3. Otherwise the next poll waits: the interval, doubled per failure, or longer if the verdict says so.
func (c *core[V]) failed(err error, verdict Verdict) change {
	s := c.state
	if s.Ended {
		return change{}
	}
	s.Failures++
	s.Err, s.Memo = err, &Memo{}
	doubted := s.Doubted
	if verdict.Tolerance >= 0 && c.strike(verdict) {
		s.Ended = true
		return change{news: true}
	}
	// Watchers without a first value are shown the failure, and the others that doubt begins.
	news := s.Revision == 0 || s.Doubted != doubted
	switch overtime := !c.overtime.until.IsZero(); {
	case overtime && c.overtime.decides:
		return c.end(c.config.Stale(err))
	case overtime: // Poll again at once: that poll decides.
		return change{news: news}
	}
	doubled := float64(max(c.interval, c.config.Min)) * math.Pow(Backoff, float64(s.Failures))
	wait := c.jitter(time.Duration(min(doubled, float64(c.config.BackoffMax))))
	// Jitter never shortens the requested wait, and lengthens it up to WaitMax.
	if atLeast := verdict.Wait; wait < atLeast {
		longer := atLeast + time.Duration(JitterShare*c.config.Random()*float64(atLeast))
		wait = max(atLeast, min(longer, c.config.WaitMax))
	}
	return change{news: news, wait: wait}
}

// strike counts an error of limited tolerance, and reports whether it ends the watch.
func (c *core[V]) strike(v Verdict) bool {
	if c.kind != v.Kind {
		c.kind, c.strikes = v.Kind, 0
	}
	c.strikes++
	c.state.Doubted, c.state.Doubt = true, c.state.Err
	return c.strikes >= v.Tolerance || c.state.Revision == 0
}

// stale handles the timer of staleness. It ends the watch, or returns when to call it again: after an answer in the
// meantime, or during overtime.
func (c *core[V]) stale(now time.Time) change {
	if since := c.heard.Add(c.config.StaleAfter); now.Before(since) {
		return change{wait: since.Sub(now)}
	}
	if c.grant(now) {
		return change{wait: c.overtime.until.Sub(now)}
	}
	return c.end(c.config.Stale(c.state.Err))
}

// grant reports whether a stale watch gets overtime.
func (c *core[V]) grant(now time.Time) bool {
	return c.overtime.grant(now, c.heard.Add(c.config.StaleAfter), c.config.StaleAfter)
}

// ended records that a poll has ended. It is called before failed or answered.
func (c *core[V]) ended(now time.Time, err error) {
	if err != nil && !c.state.Ended {
		c.state.Failed = now
	}
	switch stale := c.config.StaleAfter > 0 && !now.Before(c.heard.Add(c.config.StaleAfter)); {
	case err == nil:
		c.heard, c.state.Heard = now, now
		c.overtime.until = time.Time{}
	case stale: // The timer of staleness may be late as well.
		c.grant(now)
	}
}

// end ends the watch with an error from outside, such as draining.
func (c *core[V]) end(err error) change {
	if c.state.Ended {
		return change{}
	}
	c.state.Err, c.state.Ended, c.state.Memo = err, true, &Memo{}
	return change{news: true}
}

const (
	// Growth is the factor by which an interval grows after a poll without a change.
	Growth = 1.5
	// Backoff is the factor by which the wait grows with each failure.
	Backoff = 2
	// JitterShare is the largest share by which an interval is randomly shortened or lengthened.
	JitterShare = 0.2
)

func (c *core[V]) grow() {
	c.interval = min(time.Duration(Growth*float64(c.interval)), c.config.Max)
}

// jitter returns d, changed at random by up to JitterShare, so that polls that began together drift apart.
func (c *core[V]) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - JitterShare + 2*JitterShare*c.config.Random()))
}
