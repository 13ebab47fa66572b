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
	// Failures is how many polls have failed in succession, and Err is what the last of them failed with.
	Failures int
	Err      error
	// Ended tells that nothing will change any more: without Err the value is final, otherwise Err is why.
	Ended bool
}

// core decides what to publish, when to poll next and when to end, from what polls bring. What comes after the end
// changes nothing. It has no goroutine, no lock and no clock.
type core[V any] struct {
	config   Config[V]
	state    State[V]
	interval time.Duration // Between polls while nothing changes and nothing fails.
}

// answered takes the answer of a poll. It returns whether watchers have something to see, and how long to wait for the
// next poll.
func (c *core[V]) answered(a Answer[V]) (news bool, wait time.Duration) {
	s := &c.state
	if s.Ended {
		return false, 0
	}
	s.Failures, s.Err = 0, nil
	switch {
	case s.Revision == 0 || c.config.Rank(a.Value) >= c.config.Rank(s.Value) && !c.config.Same(a.Value, s.Value):
		s.Answer = a
		s.Revision++
		s.Ended = c.config.Final(a.Value)
		c.interval = c.config.Min
		news = true
	case c.config.Same(a.Value, s.Value):
		s.At = a.At
		c.grow()
	default: // A step back: KooDrive's nodes disagree. It is an answer, and confirms nothing.
		c.grow()
	}
	return news, c.jitter(c.interval)
}

// failed takes the error of a poll. It returns the same as answered.
func (c *core[V]) failed(err error) (news bool, wait time.Duration) {
	s := &c.state
	if s.Ended {
		return false, 0
	}
	s.Failures++
	s.Err = err
	survives, atLeast := c.config.Survives(err)
	if !survives {
		s.Ended = true
		return true, 0
	}
	doubled := float64(max(c.interval, c.config.Min)) * math.Pow(2, float64(s.Failures))
	wait = c.jitter(time.Duration(min(doubled, float64(c.config.BackoffMax))))
	if wait < atLeast { // What is asked for is never shortened, and made longer up to the limit alone.
		longer := atLeast + time.Duration(jitterShare*c.config.Random()*float64(atLeast))
		wait = max(atLeast, min(longer, c.config.WaitMax))
	}
	// Who waits for a first value learns that there is none.
	return s.Revision == 0, wait
}

// end takes an end that comes from elsewhere. It reports whether the key had not ended before.
func (c *core[V]) end(err error) (news bool) {
	if c.state.Ended {
		return false
	}
	c.state.Err, c.state.Ended = err, true
	return true
}

const (
	growth      = 1.5
	jitterShare = 0.2
)

func (c *core[V]) grow() {
	c.interval = min(time.Duration(growth*float64(c.interval)), c.config.Max)
}

// jitter returns d, up to a fifth shorter or longer, so that polls that began together do not stay together.
func (c *core[V]) jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (1 - jitterShare + 2*jitterShare*c.config.Random()))
}
