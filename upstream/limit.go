package upstream

import (
	"container/list"
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter limits the requests per second and those in flight. When more requests wait than the limits allow:
//
//   - Callers that KooDrive has answered lately, and all others, alternate.
//   - On the first side the callers are served round robin, so that a caller with a thousand tasks slows down only itself. On the
//     other side the addresses are, so that opening many callers gains nothing.
//   - Within the queue of a caller or an address, first answers go before later polls: see queue.next.
//
// A caller may have as many requests in flight as there are free slots, and so may an address. So a single one holds at
// most half of the slots, and two hold a third each; the next one finds a free slot, however long the requests take. An
// address that holds its addressShare of the slots also goes after the other addresses.
//
// A rate.Limiter alone serves in order of arrival and does not distinguish callers.
type limiter struct {
	most  int
	start func(func()) // Calls a function in a goroutine of its own. It must not block.

	mu       sync.Mutex
	rate     *rate.Limiter    // Guarded by mu, as are the fields below.
	inFlight int              // Requests that hold a permit.
	waiting  int              // Requests that wait for one.
	queues   map[Key]*queue   // Queues of the callers and addresses that wait or hold a permit.
	turns    [sides]list.List // The queues with waiters, by side; the next one to be served is in front.
	served   side             // The side that was served last.
	// armed reports that the timer runs. It is never reset while it does: the runtime would look through all timers of
	// the process, of which there are several for each watched task.
	armed bool
	timer func(time.Duration) // Calls due after a time.
}

// side is a half of the queues.
type side int

const (
	known   side = iota // Of callers that KooDrive has answered lately.
	unknown             // Of the addresses of all other callers.
	sides
)

const (
	// addressShare is the divisor of the slots that an address may hold before it goes after other addresses: an eighth
	// of one side's half.
	addressShare = 8 * int(sides)
	// overdueShare is the divisor of a queue's requests that overdue polls get at least.
	overdueShare = 8
)

func newLimiter(perSecond, atOnce int, start func(func())) *limiter {
	l := &limiter{
		most: atOnce, start: start, queues: map[Key]*queue{},
		rate: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/burstShare)),
	}
	timer := time.AfterFunc(time.Hour, l.due)
	timer.Stop()
	l.timer = func(after time.Duration) { timer.Reset(after) }
	return l
}

// burstShare is the divisor of a second's requests that may come at once.
const burstShare = 10

// acquire calls then in a goroutine of its own: with a permit, which must be released, or with nil if ctx ends first. It
// does not block.
func (l *limiter) acquire(ctx context.Context, at place, then func(permit *queue)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if q := l.passLocked(at); q != nil {
		l.start(func() { then(q) })
		return
	}
	w := &waiter{place: at, since: time.Now(), then: then}
	l.joinLocked(at.queue, w)
	l.serveLocked()
	if w.element != nil {
		w.leave = context.AfterFunc(ctx, func() { l.giveUp(w) })
	}
}

// passLocked grants a permit without a waiter, if nobody waits and the limits allow it. The result is then the same as
// serveLocked's. Otherwise it returns nil.
func (l *limiter) passLocked(at place) *queue {
	if l.waiting > 0 {
		return nil
	}
	q := l.queueLocked(at.queue, at.caller)
	if q.inFlight >= l.most-l.inFlight || !l.rate.AllowN(time.Now(), 1) {
		l.dropLocked(q)
		return nil
	}
	l.grantLocked(q, at.yield)
	return q
}

// giveUp removes a waiter whose context has ended, unless it was granted a permit just before.
func (l *limiter) giveUp(w *waiter) {
	l.mu.Lock()
	waits := w.element != nil
	if waits {
		l.leaveLocked(w)
		l.dropLocked(w.queue)
	}
	l.mu.Unlock()
	if waits {
		w.then(nil)
	}
}

// accept moves the waiting requests of a caller, whom KooDrive has answered, from the queue of an address to its own.
func (l *limiter) accept(caller, address Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queues[address]
	if q == nil {
		return
	}
	for _, line := range []*list.List{&q.firsts, &q.polls} {
		for e := line.Front(); e != nil; {
			w, _ := e.Value.(*waiter)
			e = e.Next()
			if w.caller == caller {
				l.leaveLocked(w)
				l.joinLocked(caller, w)
			}
		}
	}
	l.dropLocked(q)
	l.serveLocked()
}

// release returns a permit.
func (l *limiter) release(permit *queue) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
	permit.inFlight--
	l.dropLocked(permit)
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
//  3. Grant the permit, and move the queue to the end. The request gets its goroutine.
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
		l.turns[q.side].MoveToBack(q.turn)
		w := q.next(now)
		l.grantLocked(q, w.yield)
		l.leaveLocked(w)
		if w.leave != nil {
			w.leave()
		}
		l.start(func() { w.then(q) })
	}
}

// grantLocked counts a permit of a queue, for a request that yields as long as given.
func (l *limiter) grantLocked(q *queue, yield time.Duration) {
	l.inFlight++
	q.inFlight++
	l.served = q.side
	if q.passed++; yield > 0 {
		q.passed = 0
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

// nextLocked returns the next queue to be served, which holds fewer permits than are free; nil without one. Each queue
// that it skips holds a permit, so there are at most as many as permits.
func (l *limiter) nextLocked() (next *queue) {
	free := l.most - l.inFlight
	if free == 0 {
		return nil
	}
	for _, s := range []side{1 - l.served, l.served} {
		for turn := l.turns[s].Front(); turn != nil; turn = turn.Next() {
			q, _ := turn.Value.(*queue)
			switch fits := q.inFlight < free; {
			case fits && (s == known || q.inFlight < max(1, l.most/addressShare)):
				return q
			case fits && next == nil:
				next = q
			}
		}
		if next != nil {
			return next
		}
	}
	return nil
}

// queueLocked returns the queue of a key for a caller.
func (l *limiter) queueLocked(key, caller Key) *queue {
	q := l.queues[key]
	if q == nil {
		q = &queue{key: key, side: unknown}
		if key == caller {
			q.side = known
		}
		l.queues[key] = q
	}
	return q
}

// joinLocked adds a waiter to a queue, and a queue to the turns of its side.
func (l *limiter) joinLocked(key Key, w *waiter) {
	q := l.queueLocked(key, w.caller)
	if q.turn == nil {
		q.turn = l.turns[q.side].PushBack(q)
	}
	w.queue = q
	w.element = w.line().PushBack(w)
	l.waiting++
}

// leaveLocked removes a waiter from its queue, and a queue without waiters from the turns.
func (l *limiter) leaveLocked(w *waiter) {
	q := w.queue
	w.line().Remove(w.element)
	w.element = nil
	l.waiting--
	if q.firsts.Len()+q.polls.Len() == 0 {
		l.turns[q.side].Remove(q.turn)
		q.turn = nil
	}
}

// dropLocked removes a queue without waiters and permits.
func (l *limiter) dropLocked(q *queue) {
	if q.inFlight == 0 && q.turn == nil {
		delete(l.queues, q.key)
	}
}

// repeat takes a token of the rate for a request that an attempt repeats, and returns how long the request has to wait
// for it. The attempt keeps its permit.
func (l *limiter) repeat() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rate.Reserve().Delay()
}
