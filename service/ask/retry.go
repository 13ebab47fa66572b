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

// RetrySuccesses is the number of successes that earn one retry: for a caller, and for all callers together.
const RetrySuccesses = 10

const (
	retryMax    = 10  // Most retries that a caller can save up,
	retryMaxAll = 100 // and all callers together. Both begin with as many.
	retryMin    = 100 * time.Millisecond
	retrySpace  = 200 * time.Millisecond // Upper limit of the random time added to retryMin.

	// A caller that has not retried for retryKeep gets a full budget. Beyond retryCallers callers, so do those whose
	// last retry is oldest.
	retryKeep    = 10 * time.Minute
	retryCallers = 10_000
)

// retries limits retries by two budgets: one per caller, so that a failing caller does not use up the retries of
// others, and one for all, so that retries all but stop when KooDrive fails as a whole. Callers that KooDrive has not
// answered lately share the budget of their address.
type retries struct {
	mu    sync.Mutex
	all   budget                                 // Guarded by mu, as are taken and the budgets in spent.
	taken bool                                   // A retry was taken. Until then, spent is empty.
	spent *expiring.Cache[upstream.Key, *budget] // Budgets of the callers that have retried. The others have spent nothing.
}

// budget counts the successes that are missing to earn back all spent retries.
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
	if !r.taken {
		return
	}
	if spent, ok := r.spent.Get(caller); ok {
		*spent = max(0, *spent-1)
	}
}

// take takes a retry from a caller's budget and the common one. It reports false if either is exhausted.
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
	r.taken = true
	*spent += RetrySuccesses
	r.all += RetrySuccesses
	r.spent.Set(caller, spent)
	return true
}

// twice sends a request, and repeats it once after a transient failure. Only calls use it: a watch polls again anyway.
func (a *Asker) twice(q *Question, checked bool) observe.Ask[upstream.Task] {
	ask := a.once(q, q.trace, true, checked)
	return func(ctx context.Context, begun func(), done func(upstream.Task, error)) {
		ask(ctx, begun, func(task upstream.Task, err error) {
			if err == nil || ctx.Err() != nil || !mayHavePassed(reason.Of(err)) || !a.mayRetry(q) {
				done(task, err)
				return
			}
			after(ctx, retryMin+rand.N(retrySpace), func() {
				if ctx.Err() != nil {
					done(task, err)
					return
				}
				a.again(ctx, ask, func(again upstream.Task, failed error, gaveUp bool) {
					if gaveUp {
						done(task, err)
						return
					}
					done(again, failed)
				})
			})
		})
	}
}

// mayRetry takes a retry from the budgets, and counts whether there was one.
func (a *Asker) mayRetry(q *Question) bool {
	granted := a.retries.take(a.queue(q))
	a.metrics.retried(granted)
	return granted
}

// again sends a request once more. It waits in the queue as well, for at most Patience: then it gives up.
func (a *Asker) again(
	ctx context.Context, ask observe.Ask[upstream.Task], done func(task upstream.Task, err error, gaveUp bool),
) {
	again, giveUp := context.WithCancel(ctx)
	patience := time.AfterFunc(Patience, giveUp)
	ask(again, func() { patience.Stop() }, func(task upstream.Task, err error) {
		gaveUp := again.Err() != nil && ctx.Err() == nil
		giveUp()
		if gaveUp {
			a.quota.QueueFull()
		}
		done(task, err, gaveUp)
	})
}

// mayHavePassed reports whether an immediate retry makes sense. It does not after Retry-After, nor after a timeout of
// kootask's own, which has taken long enough.
func mayHavePassed(e *reason.Error) bool {
	switch e.Outcome {
	case reason.UpstreamMalformedBody, reason.UpstreamInternalFailure, reason.UpstreamError, reason.UpstreamUnavailable,
		reason.UpstreamUnreachable:
		return e.RetryAfter == 0
	case reason.UpstreamTimeout: // Reported by KooDrive, as 408 or 425.
		return e.RetryAfter == 0 && e.UpstreamStatus != 0
	default:
		return false
	}
}
