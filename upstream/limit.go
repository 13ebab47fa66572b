package upstream

import (
	"container/list"
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter lets requests through one after the other: so many a second, and so many at a time. Those who wait are served
// caller by caller in turn, so that one caller's thousand tasks make its own intervals longer and nobody else's.
//
// The turns are why this is not a rate.Limiter alone, which serves first come, first served.
type limiter struct {
	most int

	mu       sync.Mutex
	rate     *rate.Limiter  // Guarded by mu, as are the rest.
	inFlight int            // Requests that hold a permit.
	waiting  int            // Those that do not yet.
	queues   map[Key]*queue // Of the callers that wait.
	turns    *list.List     // The same queues, the next one in front.
	timer    *time.Timer    // Runs while somebody waits for the rate.
}

// queue is the line of one caller. It is never empty for long.
type queue struct {
	caller  Key
	waiters *list.List
	turn    *list.Element // In the limiter's turns.
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
		q.turn = l.turns.PushBack(q)
		l.queues[caller] = q
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
		l.releaseLocked()
	default:
		l.removeLocked(q, w.element)
	}
	return ctx.Err()
}

// release gives a permit back.
func (l *limiter) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.releaseLocked()
}

func (l *limiter) releaseLocked() {
	l.inFlight--
	l.serveLocked()
}

func (l *limiter) serve() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serveLocked()
}

// serveLocked grants what can be granted now, and comes back when the rate allows more.
func (l *limiter) serveLocked() {
	for l.turns.Len() > 0 && l.inFlight < l.most {
		now := time.Now()
		if !l.rate.AllowN(now, 1) {
			missing := 1 - l.rate.TokensAt(now)
			l.timer.Reset(time.Duration(missing/float64(l.rate.Limit())*float64(time.Second)) + time.Microsecond)
			return
		}
		l.inFlight++
		close(l.nextLocked().granted)
	}
}

// nextLocked takes the first waiter of the caller whose turn it is, and sends that caller to the end of the line.
func (l *limiter) nextLocked() *waiter {
	q, _ := l.turns.Front().Value.(*queue)
	l.turns.MoveToBack(q.turn)
	return l.removeLocked(q, q.waiters.Front())
}

// removeLocked takes a waiter out of its queue, and a queue without waiters out of the line.
func (l *limiter) removeLocked(q *queue, element *list.Element) *waiter {
	w, _ := q.waiters.Remove(element).(*waiter)
	l.waiting--
	if q.waiters.Len() == 0 {
		delete(l.queues, q.caller)
		l.turns.Remove(q.turn)
	}
	return w
}
