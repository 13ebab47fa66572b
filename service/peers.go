package service

import (
	"strconv"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"github.com/kootask/kootask/service/reason"
)

const (
	// PeerBurst is how many seconds' worth of new tasks a peer may ask for at once.
	PeerBurst = 10
	// maxPeers is how many peers are kept in mind.
	maxPeers = 100_000
)

// peers bounds how many new tasks each peer may ask for in a second: tasks that KooDrive is not being asked for already,
// with that credential. Credentials can be made up, and each of them would cost KooDrive a request; addresses cannot, at
// will.
type peers struct {
	perSecond int
	metrics   *metrics
	limiters  *otter.Cache[string, *rate.Limiter] // Of those that have asked lately: the others have all of their burst.
}

func newPeers(perSecond int, metrics *metrics) *peers {
	return &peers{
		perSecond: perSecond, metrics: metrics,
		limiters: otter.Must(&otter.Options[string, *rate.Limiter]{
			MaximumSize:      maxPeers,
			ExpiryCalculator: otter.ExpiryAccessing[string, *rate.Limiter](PeerBurst * time.Second),
		}),
	}
}

// admit counts a new task of a peer, or says that it has asked for too many.
func (p *peers) admit(peer string) error {
	limiter, _ := p.limiters.ComputeIfAbsent(peer, func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(p.perSecond), PeerBurst*p.perSecond), false
	})
	now := time.Now()
	if limiter.AllowN(now, 1) {
		return nil
	}
	missing := 1 - limiter.TokensAt(now)
	e := p.metrics.callerLimit(limitPerPeer, p.perSecond)
	e.RetryAfter = time.Duration(missing / float64(p.perSecond) * float64(time.Second))
	return e
}

func (p *peers) close() { p.limiters.StopAllGoroutines() }

// callerLimit counts a call that meets a limit of its caller's, and is the call's error.
func (m *metrics) callerLimit(flag string, value int) *reason.Error {
	m.limited(flag)
	return &reason.Error{Outcome: reason.CallerLimitReached, Metadata: map[string]string{
		"limitName": flag, "limitValue": strconv.Itoa(value),
	}}
}
