package upstream

import (
	"container/list"
	"time"
)

// queue has the waiters and permits of one caller, or of the callers at one address.
type queue struct {
	key      Key
	side     side
	inFlight int
	firsts   list.List     // The waiters for first answers, oldest first.
	polls    list.List     // The waiters that yield to them, oldest first.
	passed   int           // First answers served since the last poll.
	turn     *list.Element // Its element in limiter.turns; nil without waiters.
}

// place says where a request waits.
type place struct {
	caller, queue Key           // The queue is the caller's own, or its address's.
	yield         time.Duration // See [Call.Yield].
}

// waiter is a request that waits for a permit. No goroutine waits for it.
type waiter struct {
	place
	since   time.Time
	then    func(permit *queue)
	leave   func() bool   // Stops the watch over the request's context; nil until it is watched.
	queue   *queue        // Where it waits, or whose permit it holds. Guarded by limiter.mu, as is element.
	element *list.Element // Its element in the queue; nil once granted.
}

// overdue returns when first answers that come later no longer go before the waiter.
func (w *waiter) overdue() time.Time { return w.since.Add(w.yield) }

// next returns the waiter of a queue that is served next. A first answer goes before a poll, unless the poll is overdue
// and one of these applies:
//  1. It was so before the first answer was asked for. In a queue that never empties, both get ahead.
//  2. Other first answers have gone before it. An endless flood of them cannot hold up the polls of its address.
func (q *queue) next(now time.Time) *waiter {
	first, poll := front(&q.firsts), front(&q.polls)
	switch {
	case poll == nil:
		return first
	case first == nil, poll.overdue().Before(first.since):
		return poll
	case q.passed >= overdueShare-1 && poll.overdue().Before(now):
		return poll
	default:
		return first
	}
}

// front returns the first waiter of a line; nil without one.
func front(line *list.List) *waiter {
	if line.Len() == 0 {
		return nil
	}
	w, _ := line.Front().Value.(*waiter)
	return w
}

// line returns the part of its queue in which a waiter waits.
func (w *waiter) line() *list.List {
	if w.yield > 0 {
		return &w.queue.polls
	}
	return &w.queue.firsts
}
