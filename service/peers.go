package service

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// PeerBurst is how many seconds' worth of new tasks a peer may ask for at once.
	PeerBurst = 10
	// PeerPatience is how long a watch of a new task waits for its peer's turn. GetTask does not wait.
	PeerPatience = 30 * time.Second
)

// peers bounds how many new tasks each peer may ask for in a second, and how many of its first requests may be waiting.
// Credentials can be made up, and each of them would cost KooDrive a request and the others a turn; addresses of one's own
// are fewer.
type peers struct {
	perSecond int
	metrics   *metrics

	mu      sync.Mutex
	all     map[string]*peer // Guarded by mu, as is the rest.
	sweepAt int              // How many there are before those that are not needed any more are looked for.
}

// peer is one that has asked lately.
type peer struct {
	limiter *rate.Limiter
	open    int // Its new tasks without a first answer.
}

func newPeers(perSecond int, metrics *metrics) *peers {
	return &peers{perSecond: perSecond, metrics: metrics, all: map[string]*peer{}, sweepAt: minSweep}
}

// minSweep is how many peers are kept without a look at them.
const minSweep = 1000

// admit counts a new task of a peer and returns how long it has to wait, or says that the peer has asked for too many. Whoever
// is admitted must call answered when the first request has ended, or is not wanted any more.
func (p *peers) admit(name string, patience time.Duration) (wait time.Duration, answered func(), err error) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.getLocked(name, now)
	turn := one.limiter.ReserveN(now, 1)
	wait = turn.DelayFrom(now)
	if !turn.OK() || wait > patience || one.open >= p.perSecond*(PeerBurst+int(PeerPatience/time.Second)) {
		turn.CancelAt(now)
		e := p.metrics.callerLimit(limitPerPeer, p.perSecond)
		e.RetryAfter = min(wait, PeerPatience)
		return 0, nil, e
	}
	one.open++
	return wait, sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		one.open--
	}), nil
}

func (p *peers) getLocked(name string, now time.Time) *peer {
	if one := p.all[name]; one != nil {
		return one
	}
	if len(p.all) >= p.sweepAt {
		for other, one := range p.all {
			if one.open == 0 && one.limiter.TokensAt(now) >= float64(one.limiter.Burst()) {
				delete(p.all, other) // It would be the same if it came anew.
			}
		}
		p.sweepAt = max(minSweep, 2*len(p.all))
	}
	one := &peer{limiter: rate.NewLimiter(rate.Limit(p.perSecond), PeerBurst*p.perSecond)}
	p.all[name] = one
	return one
}
