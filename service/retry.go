package service

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// RetryShare is how many retries each success allows.
const RetryShare = 0.1

const (
	retryMax   = 10 // How many can be saved up.
	retryMin   = 100 * time.Millisecond
	retrySpace = 200 * time.Millisecond // From retryMin, at random.
)

// retries is how often KooDrive may be asked again, for all callers together: when nothing succeeds any more, nothing is
// tried twice. It starts full.
type retries struct {
	mu    sync.Mutex
	spent float64 // Guarded by mu.
}

// earn counts a success.
func (r *retries) earn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spent = max(0, r.spent-RetryShare)
}

// take reports whether there may be a retry, and counts it.
func (r *retries) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.spent+1 > retryMax {
		return false
	}
	r.spent++
	return true
}

// askTwice asks KooDrive, and once more if it failed in a way that may have passed already. Only GetTask does so: a watch
// asks again anyway.
func (s *Service) askTwice(q question) observe.Ask[upstream.Task] {
	ask := s.ask(q)
	return func(ctx context.Context, begun func()) (upstream.Task, error) {
		task, err := ask(ctx, begun)
		if err == nil || ctx.Err() != nil || !s.mayHavePassed(err) {
			return task, err
		}
		granted := s.retries.take()
		s.metrics.retried(granted)
		if !granted {
			return task, err
		}
		if sleep(ctx, retryMin+rand.N(retrySpace)) != nil {
			return task, err
		}
		// The second request has to wait for its turn too, and no longer.
		again, giveUp := context.WithCancel(ctx)
		defer giveUp()
		patience := time.AfterFunc(Patience, giveUp)
		task2, err2 := ask(again, func() { patience.Stop() })
		if again.Err() != nil && ctx.Err() == nil {
			s.metrics.limited(limitTurn)
			return task, err
		}
		return task2, err2
	}
}

// mayHavePassed reports whether it makes sense to ask again at once: not if KooDrive says when, nor after a timeout, which
// has taken long enough.
func (s *Service) mayHavePassed(err error) bool {
	e := s.outcome(err)
	switch e.Outcome {
	case reason.UpstreamMalformedBody, reason.UpstreamInternalFailure, reason.UpstreamError, reason.UpstreamUnavailable,
		reason.UpstreamUnreachable:
		return e.RetryAfter == 0
	case reason.UpstreamTimeout: // KooDrive's own word, 408 or 425.
		return e.RetryAfter == 0 && e.UpstreamStatus != 0
	default:
		return false
	}
}
