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

// begin counts n new tasks of an address and returns how long their first requests have to wait, all of them the same
// time. It reports false and counts nothing if the wait would exceed patience, or if too many first requests are
// pending; wait is then that wait. Each task that is counted must be answered.
//
// More tasks than the bucket holds begin when it is full, and it then owes the others. More tasks than may be pending
// begin when nothing is. Otherwise such a list could never begin.
func (p *peers) begin(name string, n int, patience time.Duration) (wait time.Duration, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	limiter, now := p.rates.Of(name), time.Now()
	full := max(1, limiter.Burst()) // A negative rate permits nothing.
	// The wait is known before the limiter owes anything, so only the newest reservation is ever cancelled: that gives
	// back all of it. A cancelled reservation gives back nothing of what was reserved after it.
	first := limiter.ReserveN(now, min(n, full))
	wait = first.DelayFrom(now)
	if !first.OK() || wait > patience || p.tooManyLocked(name, n) {
		first.CancelAt(now)
		return wait, false
	}
	for owed := n - full; owed > 0; owed -= full {
		limiter.ReserveN(now, min(owed, full))
	}
	p.open[name] += n
	return wait, true
}

// tooManyLocked reports whether an address has too many pending first requests to begin n more.
func (p *peers) tooManyLocked(name string, n int) bool {
	mostOpen := p.rates.PerSecond() * (rates.Burst + int(PeerPatience/time.Second))
	open := p.open[name]
	return open > 0 && open+n > mostOpen
}

// answered returns a function to call when the first request of a new task has ended or is not wanted any more. It may
// be called more than once.
func (p *peers) answered(name string) func() {
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open[name]--; p.open[name] == 0 {
			delete(p.open, name)
		}
	})
}
