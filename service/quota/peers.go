package quota

import (
	"sync"
	"time"

	"github.com/kootask/kootask/internal/rates"
)

// PeerPatience is how long a watch of a new task waits for its address's rate limit. GetTask does not wait.
const PeerPatience = 30 * time.Second

// peers limits how many new tasks each address may start per second, and how many of its first requests may be pending.
// Credentials can be invented, and each of them would cost KooDrive a request and other callers a place in the queue;
// addresses are harder to come by.
type peers struct {
	rates *rates.Rates

	mu   sync.Mutex
	open map[string]int // New tasks without a first answer, by address. Guarded by mu.
}

func newPeers(perSecond int) *peers {
	return &peers{rates: rates.New(perSecond), open: map[string]int{}}
}

// begin counts a new task of an address and returns how long its first request has to wait. It reports false if the
// limit is reached or the wait would exceed patience; wait is then that wait. The caller must call answered when the
// first request has ended or is not wanted any more.
func (p *peers) begin(name string, patience time.Duration) (wait time.Duration, answered func(), ok bool) {
	limiter := p.rates.Of(name)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	reservation := limiter.ReserveN(now, 1)
	wait = reservation.DelayFrom(now)
	mostOpen := p.rates.PerSecond() * (rates.Burst + int(PeerPatience/time.Second))
	if !reservation.OK() || wait > patience || p.open[name] >= mostOpen {
		reservation.CancelAt(now)
		return wait, nil, false
	}
	p.open[name]++
	return wait, sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open[name]--; p.open[name] == 0 {
			delete(p.open, name)
		}
	}), true
}
