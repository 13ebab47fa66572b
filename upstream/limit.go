package upstream

import (
	"container/list"
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter limits the requests per second and those in flight. Waiting requests are served round robin by caller, so
// that a caller with a thousand tasks slows down only itself.
//
// A caller may have as many requests in flight as there are free slots. So a single caller holds at most half of the
// slots, and two hold a third each; the next caller finds a free one, however long the requests take.
//
// A rate.Limiter alone serves in order of arrival and does not distinguish callers.
type limiter struct {
	most int

	mu       sync.Mutex
	rate     *rate.Limiter  // Guarded by mu, as are the fields below.
	inFlight int            // Requests that hold a permit.
	waiting  int            // Requests that wait for one.
	queues   map[Key]*queue // Queues of the callers that wait or hold a permit.
	turns    *list.List     // The queues with waiters; the next one to be served is in front.
	// armed reports that the timer runs. It is never reset while it does: the runtime would look through all timers of
	// the process, of which there are several for each watched task.
	armed bool
	timer func(time.Duration) // Calls due after a time.
}

// queue has the waiters and permits of one caller.
type queue struct {
	caller   Key
	inFlight int
	waiters  *list.List
	turn     *list.Element // Its element in limiter.turns; nil without waiters.
}

// waiter is a request that waits for a permit.
type waiter struct {
	granted chan struct{} // Closed with limiter.mu held.
	element *list.Element // Its element in the queue, until granted.
}

func newLimiter(perSecond, atOnce int) *limiter {
	l := &limiter{
		most: atOnce, rate: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/burstShare)),
		queues: map[Key]*queue{}, turns: list.New(),
	}
	timer := time.AfterFunc(time.Hour, l.due)
	timer.Stop()
	l.timer = func(after time.Duration) { timer.Reset(after) }
	return l
}

// burstShare is the divisor of a second's requests that may come at once.
const burstShare = 10

// acquire waits for a permit, or until ctx ends. The caller must release the permit.
func (l *limiter) acquire(ctx context.Context, caller Key) error {
	l.mu.Lock()
	w := &waiter{granted: make(chan struct{})}
	q := l.queues[caller]
	if q == nil {
		q = &queue{caller: caller, waiters: list.New()}
		l.queues[caller] = q
	}
	if q.turn == nil {
		q.turn = l.turns.PushBack(q)
	}
	w.element = q.waiters.PushBack(w)
	l.waiting++
	l.serveLocked()
	l.mu.Unlock()

	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-w.granted: // Just before ctx ended.
		l.releaseLocked(q)
	default:
		l.removeLocked(q, w.element)
		l.dropLocked(q)
	}
	return ctx.Err()
}

// release returns a permit of a caller.
func (l *limiter) release(caller Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.releaseLocked(l.queues[caller])
}

func (l *limiter) releaseLocked(q *queue) {
	l.inFlight--
	q.inFlight--
	l.dropLocked(q)
	l.serveLocked()
}

// due is called when the rate allows a request for which somebody has waited.
func (l *limiter) due() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = false
	l.serveLocked()
}

// serveLocked grants permits as far as the limits allow, and sets the timer if it needs the rate:
//  1. Take the next queue that may have a permit.
//  2. Take a token of the rate, or come back when there is one.
//  3. Grant the permit, and move the queue to the end.
func (l *limiter) serveLocked() {
	for {
		q := l.nextLocked()
		if q == nil {
			return
		}
		now := time.Now()
		if !l.rate.AllowN(now, 1) {
			l.armLocked(now)
			return
		}
		l.inFlight++
		q.inFlight++
		l.turns.MoveToBack(q.turn)
		close(l.removeLocked(q, q.waiters.Front()).granted)
	}
}

// armLocked comes back when there is a token, unless that is arranged already. A token may be taken meanwhile by a
// request that is sent again: due then finds none, and comes back later.
func (l *limiter) armLocked(now time.Time) {
	if l.armed {
		return
	}
	l.armed = true
	missing := 1 - l.rate.TokensAt(now)
	l.timer(time.Duration(missing/float64(l.rate.Limit())*float64(time.Second)) + time.Microsecond)
}

// nextLocked returns the first queue that holds fewer permits than are free; nil without one. Each queue that it
// skips holds a permit, so there are at most as many as permits.
func (l *limiter) nextLocked() *queue {
	free := l.most - l.inFlight
	if free == 0 {
		return nil
	}
	for turn := l.turns.Front(); turn != nil; turn = turn.Next() {
		if q, _ := turn.Value.(*queue); q.inFlight < free {
			return q
		}
	}
	return nil
}

// removeLocked removes a waiter from its queue, and a queue without waiters from the turns.
func (l *limiter) removeLocked(q *queue, element *list.Element) *waiter {
	w, _ := q.waiters.Remove(element).(*waiter)
	l.waiting--
	if q.waiters.Len() == 0 {
		l.turns.Remove(q.turn)
		q.turn = nil
	}
	return w
}

// dropLocked removes a queue without waiters and permits.
func (l *limiter) dropLocked(q *queue) {
	if q.inFlight == 0 && q.waiters.Len() == 0 {
		delete(l.queues, q.caller)
	}
}

// repeat takes a token of the rate for a request that an attempt repeats, and returns how long the request has to wait
// for it. The attempt keeps its permit.
func (l *limiter) repeat() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate.Reserve().Delay()
}
