package upstream

import "time"

// Stats is the state of a Client at one moment.
type Stats struct {
	// InFlight is the number of requests in flight, and Queued the number of those in a queue.
	InFlight, Queued int
	// Down reports an outage: KooDrive fails as a whole, or for its only active caller, and has not answered since.
	Down bool
	// OpenCircuits is the number of open circuits of callers and addresses.
	OpenCircuits int
	// Skew is the estimated lead of KooDrive's clock over this one.
	Skew time.Duration
}

// Stats returns the state of c.
func (c *Client) Stats() Stats {
	down, open := c.breaker.state()
	c.limiter.mu.Lock()
	defer c.limiter.mu.Unlock()
	return Stats{
		InFlight: c.limiter.inFlight, Queued: c.limiter.waiting,
		Down: down, OpenCircuits: open, Skew: time.Duration(c.clock.skew.Load()),
	}
}
