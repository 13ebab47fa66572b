package service

import (
	"sync"
	"time"

	"github.com/kootask/kootask/service/caller"
)

const (
	// PeerBurst is how many seconds' worth of new tasks a peer may ask for at once.
	PeerBurst = caller.RateBurst
	// PeerPatience is how long a watch of a new task waits for its peer's turn. GetTask does not wait.
	PeerPatience = 30 * time.Second
)

// peers bounds how many new tasks each peer may ask for in a second, and how many of its first requests may be waiting.
// Credentials can be made up, and each of them would cost KooDrive a request and the others a turn; addresses of one's own
// are fewer.
type peers struct {
	perSecond int
	metrics   *metrics
	rates     *caller.Rates

	mu   sync.Mutex
	open map[string]int // Of each peer, the new tasks without a first answer. Guarded by mu.
}

func newPeers(perSecond int, metrics *metrics) *peers {
	return &peers{perSecond: perSecond, metrics: metrics, rates: caller.NewRates(perSecond), open: map[string]int{}}
}

// admit counts a new task of a peer and returns how long it has to wait, or says that the peer has asked for too many. Whoever
// is admitted must call answered when the first request has ended, or is not wanted any more.
func (p *peers) admit(name string, patience time.Duration) (wait time.Duration, answered func(), err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	turn := p.rates.Of(name).ReserveN(now, 1)
	wait = turn.DelayFrom(now)
	if !turn.OK() || wait > patience || p.open[name] >= p.perSecond*(PeerBurst+int(PeerPatience/time.Second)) {
		turn.CancelAt(now)
		e := p.metrics.callerLimit(limitPerPeer, p.perSecond)
		e.RetryAfter = min(wait, PeerPatience)
		return 0, nil, e
	}
	p.open[name]++
	return wait, sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.open[name]--; p.open[name] == 0 {
			delete(p.open, name)
		}
	}), nil
}
