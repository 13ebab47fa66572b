// Package rates limits the events of each of many names, with one token bucket per name. Full buckets are removed.
//
//	perAddress := rates.New(20)
//	if !perAddress.Of(address).Allow() { … }
package rates

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Burst is the number of seconds whose events may come at once.
const Burst = 10

// minSweep is the number of buckets up to which full ones are not removed.
const minSweep = 1000

// Rates limits the events per second of each name. It is safe for concurrent use.
type Rates struct {
	perSecond int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter // Guarded by mu, as is sweepAt.
	sweepAt int                      // Beyond this number of buckets, full ones are removed.
}

// New returns Rates of perSecond events for each name, with a burst of [Burst] times as many.
func New(perSecond int) *Rates {
	return &Rates{perSecond: perSecond, buckets: map[string]*rate.Limiter{}, sweepAt: minSweep}
}

// PerSecond returns the limit of each name.
func (r *Rates) PerSecond() int { return r.perSecond }

// Of returns the limiter of a name. Do not keep it: once it is full, it may be replaced.
func (r *Rates) Of(name string) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limiter := r.buckets[name]; limiter != nil {
		return limiter
	}
	if len(r.buckets) >= r.sweepAt {
		now := time.Now()
		for other, limiter := range r.buckets {
			if limiter.TokensAt(now) >= float64(limiter.Burst()) {
				delete(r.buckets, other) // A new one would be full as well.
			}
		}
		r.sweepAt = max(minSweep, 2*len(r.buckets))
	}
	limiter := rate.NewLimiter(rate.Limit(r.perSecond), Burst*r.perSecond)
	r.buckets[name] = limiter
	return limiter
}
