package caller

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// RateBurst is how many seconds' worth a peer may have at once.
const RateBurst = 10

// minSweep is how many peers are kept without a look at them.
const minSweep = 1000

// Rates limits how often each peer may do something. It is safe for concurrent use.
type Rates struct {
	perSecond int

	mu      sync.Mutex
	peers   map[string]*rate.Limiter // Guarded by mu, as is sweepAt.
	sweepAt int                      // How many there are before those that are not needed any more are looked for.
}

// NewRates returns Rates of perSecond, and [RateBurst] times as many at once.
func NewRates(perSecond int) *Rates {
	return &Rates{perSecond: perSecond, peers: map[string]*rate.Limiter{}, sweepAt: minSweep}
}

// Of returns the limiter of a peer.
func (r *Rates) Of(peer string) *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limiter := r.peers[peer]; limiter != nil {
		return limiter
	}
	if len(r.peers) >= r.sweepAt {
		now := time.Now()
		for other, limiter := range r.peers {
			if limiter.TokensAt(now) >= float64(limiter.Burst()) {
				delete(r.peers, other) // It would be the same if it came anew.
			}
		}
		r.sweepAt = max(minSweep, 2*len(r.peers))
	}
	limiter := rate.NewLimiter(rate.Limit(r.perSecond), RateBurst*r.perSecond)
	r.peers[peer] = limiter
	return limiter
}
