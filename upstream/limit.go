package upstream

import (
	"container/list"
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter lets requests through: so many per second, and so many in flight. Those that wait are served round robin by
// caller, so that a caller with a thousand tasks slows down only itself.
//
// A caller may have as many requests in flight as there are free slots. So one caller holds at most half of the slots, two a
// third each, and the next caller finds a free one, however long their requests take.
//
// A rate.Limiter alone serves first come, first served, and knows no callers.
type limiter struct {
	most int

	mu       sync.Mutex
	rate     *rate.Limiter  // Guarded by mu, as are the rest.
	inFlight int            // Requests that hold a permit.
	waiting  int            // Those that do not yet.
	queues   map[Key]*queue // Of the callers that wait or hold a permit.
	turns    *list.List     // The queues in which somebody waits, the next one in front.
	timer    *time.Timer    // Runs while somebody waits for the rate.
}

// queue is what one caller waits for and holds.
type queue struct {
	caller   Key
	inFlight int
	waiters  *list.List
	turn     *list.Element // In the limiter's turns; nil while nobody waits.
}

// waiter waits for a permit.
type waiter struct {
	granted chan struct{} // Closed with the limiter's mu held.
	element *list.Element // In its caller's queue, until it is granted.
}

func newLimiter(perSecond, atOnce int) *limiter {
	l := &limiter{
		most: atOnce, rate: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/burstShare)),
		queues: map[Key]*queue{}, turns: list.New(),
	}
	l.timer = time.AfterFunc(time.Hour, l.serve)
	l.timer.Stop()
	return l
}

// burstShare is the share of a second's requests that may come at once.
const burstShare = 10

// acquire waits for a permit, or until ctx ends. A permit must be released.
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
	case <-w.granted: // At the last moment.
		l.releaseLocked(q)
	default:
		l.removeLocked(q, w.element)
		l.dropLocked(q)
	}
	return ctx.Err()
}

// release gives a permit of a caller back.
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

func (l *limiter) serve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked()
}

// serveLocked grants what can be granted now, and comes back when the rate allows more.
func (l *limiter) serveLocked() {
	for {
		q := l.nextLocked()
		if q == nil {
			return
		}
		now := time.Now()
		if !l.rate.AllowN(now, 1) {
			missing := 1 - l.rate.TokensAt(now)
			l.timer.Reset(time.Duration(missing/float64(l.rate.Limit())*float64(time.Second)) + time.Microsecond)
			return
		}
		l.inFlight++
		q.inFlight++
		l.turns.MoveToBack(q.turn)
		close(l.removeLocked(q, q.waiters.Front()).granted)
	}
}

// nextLocked returns the queue whose turn it is: the first one that holds fewer permits than are free, nil if none does. It
// passes over no more queues than there are permits, since those hold some.
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

// removeLocked takes a waiter out of its queue, and a queue without waiters out of the turns.
func (l *limiter) removeLocked(q *queue, element *list.Element) *waiter {
	w, _ := q.waiters.Remove(element).(*waiter)
	l.waiting--
	if q.waiters.Len() == 0 {
		l.turns.Remove(q.turn)
		q.turn = nil
	}
	return w
}

// dropLocked forgets a queue that waits for nothing and holds nothing.
func (l *limiter) dropLocked(q *queue) {
	if q.inFlight == 0 && q.waiters.Len() == 0 {
		delete(l.queues, q.caller)
	}
}

// repeat counts a request that is sent again with the permit that its attempt has, and returns how long that has to wait for
// the rate.
func (l *limiter) repeat() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate.Reserve().Delay()
}
