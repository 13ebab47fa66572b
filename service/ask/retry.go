package ask

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kootask/kootask/internal/expiring"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// RetrySuccesses is how many successes earn one retry: for their caller, and for all callers together.
const RetrySuccesses = 10

const (
	retryMax    = 10  // How many retries a caller saves up at most,
	retryMaxAll = 100 // and all callers together. Both begin with as many.
	retryMin    = 100 * time.Millisecond
	retrySpace  = 200 * time.Millisecond // From retryMin, at random.

	// A caller that has not retried for retryKeep begins again. Beyond retryCallers callers, those that have not retried for
	// longest do.
	retryKeep    = 10 * time.Minute
	retryCallers = 10_000
)

// retries bounds how often requests are repeated: by each caller, so that one whose requests fail has no part in the retries of
// others, and in all, so that next to nothing is tried twice when nothing succeeds any more. Callers whom KooDrive has not
// answered lately are one per address.
type retries struct {
	mu    sync.Mutex
	all   budget                                 // Guarded by mu, as are the budgets in callers.
	spent *expiring.Cache[upstream.Key, *budget] // Of the callers that have retried. The others have spent nothing.
}

// budget is how many successes it takes to earn back the retries that were spent.
type budget int

func newRetries() *retries {
	return &retries{spent: expiring.New[upstream.Key, *budget](retryCallers, retryKeep)}
}

func (r *retries) close() { r.spent.Close() }

// earn counts a success of a caller.
func (r *retries) earn(caller upstream.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = max(0, r.all-1)
	if spent, ok := r.spent.Get(caller); ok {
		*spent = max(0, *spent-1)
	}
}

// take reports whether a caller may retry, and counts it.
func (r *retries) take(caller upstream.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	spent, ok := r.spent.Get(caller)
	if !ok {
		spent = new(budget)
	}
	if *spent > RetrySuccesses*(retryMax-1) || r.all > RetrySuccesses*(retryMaxAll-1) {
		return false
	}
	*spent += RetrySuccesses
	r.all += RetrySuccesses
	r.spent.Set(caller, spent)
	return true
}

// twice asks KooDrive, and once more if it failed in a way that may have passed already. Only calls do so: a watch polls again anyway.
func (a *Asker) twice(q Question) observe.Ask[upstream.Task] {
	ask := a.once(q, true)
	return func(ctx context.Context, begun func()) (upstream.Task, error) {
		task, err := ask(ctx, begun)
		if err == nil || ctx.Err() != nil || !mayHavePassed(reason.Of(err)) {
			return task, err
		}
		granted := a.retries.take(a.queue(q))
		a.metrics.retried(granted)
		if !granted {
			return task, err
		}
		if sleep(ctx, retryMin+rand.N(retrySpace)) != nil {
			return task, err
		}
		// The second request waits in the queue too, and no longer than the first.
		again, giveUp := context.WithCancel(ctx)
		defer giveUp()
		patience := time.AfterFunc(Patience, giveUp)
		task2, err2 := ask(again, func() { patience.Stop() })
		if again.Err() != nil && ctx.Err() == nil {
			_ = a.quota.NotBegun(q.Caller(), err) // It counts.
			return task, err
		}
		return task2, err2
	}
}

// mayHavePassed reports whether it makes sense to ask again at once: not if KooDrive says when, nor after a timeout, which
// has taken long enough.
func mayHavePassed(e *reason.Error) bool {
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
