package quota

import (
	"sync"
	"time"

	"github.com/kootask/kootask/internal/rates"
)

// PeerPatience is how long a watch of a new task waits for its address's turn. GetTask does not wait.
const PeerPatience = 30 * time.Second

// peers bounds how many new tasks each address may ask for in a second, and how many of its first requests may be waiting.
// Credentials can be invented, and each of them would cost KooDrive a request and the other callers a place in the queue; addresses
// of one's own are fewer.
type peers struct {
	rates *rates.Rates

	mu   sync.Mutex
	open map[string]int // Of each address, the new tasks without a first answer. Guarded by mu.
}

func newPeers(perSecond int) *peers {
	return &peers{rates: rates.New(perSecond), open: map[string]int{}}
}

// begin counts a new task of an address and returns how long it has to wait. It reports false if the address has asked for too many;
// wait is then how long it would have been. The caller must call answered when the first request has ended, or is not wanted any more.
func (p *peers) begin(name string, patience time.Duration) (wait time.Duration, answered func(), ok bool) {
	limiter := p.rates.Of(name)
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := limiter.ReserveN(now, 1)
	wait = turn.DelayFrom(now)
	if !turn.OK() || wait > patience || p.open[name] >= p.rates.PerSecond()*(rates.Burst+int(PeerPatience/time.Second)) {
		turn.CancelAt(now)
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
