package upstream

import "time"

// Stats is how a Client stands.
type Stats struct {
	// UnderWay is how many requests are, and Waiting how many wait for their turn.
	UnderWay, Waiting int
	// Resting tells that KooDrive fails as a whole, or as far as its only caller can tell, and has not shown since that it works.
	Resting bool
	// OpenCircuits is how many circuits of callers and of addresses are open.
	OpenCircuits int
	// Skew is how far KooDrive's clock is taken to be ahead of ours.
	Skew time.Duration
}

// Stats returns how c stands.
func (c *Client) Stats() Stats {
	resting, open := c.breaker.state()
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return Stats{
		UnderWay: c.limiter.inFlight, Waiting: c.limiter.waiting,
		Resting: resting, OpenCircuits: open, Skew: time.Duration(c.clock.skew.Load()),
	}
}
