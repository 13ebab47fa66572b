package watch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kootask/kootask/internal/panics"
)

// poller polls one key, from its first subscriber's arrival to the last one's departure. It has no goroutine of its own:
// a timer begins each poll, and the poll's end arms the timer again.
type poller[K comparable, V any] struct {
	hub  *Hub[K, V]
	key  K
	poll Poll[V]

	retired bool          // Its last subscriber has left. Guarded by hub.mu.
	lingers bool          // It ends with the poll in flight, unless another subscriber comes. Guarded by hub.mu.
	next    *poller[K, V] // The poller that begins when this one has ended; nil without one. Guarded by hub.mu.

	// state is that of core, for subscribers, which read it without a lock. Stored with mu held; never nil, nor changed.
	state atomic.Pointer[State[V]]

	mu          sync.Mutex         // Taken before those of the subscribers' streams.
	stopped     bool               // It is to end. Guarded by mu.
	finished    bool               // It has ended. Guarded by mu.
	cancel      context.CancelFunc // Cancels the poll in flight; nil without one, or after the call. Guarded by mu.
	done        chan struct{}      // Closed by finish; nil if nobody waits for the end. Guarded by mu.
	timer       *time.Timer        // Calls due; nil before the end of the first poll. Guarded by mu.
	rests       bool               // The timer runs. Guarded by mu.
	stale       *time.Timer        // Calls goStale; nil if Config.StaleAfter is 0. Guarded by mu.
	core        core[V]            // Guarded by mu.
	subscribers []*Subscription[V] // Guarded by mu.
}

// add subscribes s. The caller holds hub.mu.
func (p *poller[K, V]) add(s *Subscription[V]) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.state, s.from = &p.state, p
	s.place = len(p.subscribers)
	p.subscribers = append(p.subscribers, s)
	if p.core.state.Revision > 0 || p.core.state.Err != nil {
		s.stream.Wake()
	}
}

// remove unsubscribes s. If it was the last subscriber, remove stops the poller, and returns a channel that is closed at
// the poller's end:
//  1. Under both locks, retire the poller, so that Subscribe starts a new one instead of joining, and keep its state. If it
//     is to linger and a poll is in flight, leave that to the end of the poll.
//  2. Without a lock, stop it.
func (p *poller[K, V]) remove(s *Subscription[V], linger bool) (ended <-chan struct{}) {
	p.hub.mu.Lock()
	p.mu.Lock()
	end := len(p.subscribers) - 1
	moved := p.subscribers[end]
	p.subscribers[s.place], moved.place = moved, s.place
	p.subscribers[end] = nil
	p.subscribers = p.subscribers[:end]
	last := end == 0
	if _, known := p.core.keep(); last && linger && known && p.core.overtime.asking {
		p.lingers, last = true, false
	}
	if last {
		p.retireLocked()
		if !p.finished {
			p.done = make(chan struct{})
			ended = p.done
		}
	}
	p.mu.Unlock()
	p.hub.mu.Unlock()
	if last {
		p.stop()
	}
	return ended
}

// retireLocked ends the poller for subscribers, and keeps its state. The caller holds hub.mu as well.
func (p *poller[K, V]) retireLocked() {
	p.retired = true
	p.hub.keepLocked(p.key, &p.core)
}

// left reports whether the poller ends with this poll, because its last subscriber has left meanwhile.
func (p *poller[K, V]) left() bool {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lingers && len(p.subscribers) == 0 {
		p.retireLocked()
	}
	p.lingers = false
	return p.retired
}

func (p *poller[K, V]) same(a, b V) bool { return p.hub.config.Same(a, b) }

// update applies a change to the core, and wakes the subscribers if they have something to see.
func (p *poller[K, V]) update(apply func(*core[V]) change) (done change, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	state := *p.core.state
	p.core.state = &state
	done = apply(&p.core)
	p.state.Store(&state)
	if done.news {
		wakeAll(p.subscribers)
	}
	return done, state.Ended
}

// begin makes the first poll. It is due now, unless the poller goes on with a kept state.
func (p *poller[K, V]) begin() {
	p.mu.Lock()
	now := time.Now()
	if p.core.state.Revision == 0 {
		p.core.overtime.end(now)
	}
	if after := p.hub.config.StaleAfter; after > 0 {
		p.stale = time.AfterFunc(p.core.heard.Add(after).Sub(now), p.goStale)
	}
	wait := p.core.overtime.due.Sub(now)
	p.mu.Unlock()
	switch {
	case wait <= 0:
		p.due()
	case !p.rest(wait):
		p.finish()
	}
}

// due makes a poll, unless the poller was stopped.
func (p *poller[K, V]) due() {
	p.mu.Lock()
	p.rests = false
	p.core.overtime.begin(time.Now())
	if p.stopped {
		p.mu.Unlock()
		p.finish()
		return
	}
	ctx, cancel := context.WithCancel(context.Background()) // Of this poll: a poller that rests takes little memory.
	p.cancel = cancel
	p.mu.Unlock()
	p.ask(ctx)
}

// ask calls poll. A panic in it ends the watches of this key only.
func (p *poller[K, V]) ask(ctx context.Context) {
	err := panics.Catch(func() {
		p.poll(ctx, p.state.Load().Revision > 0, func(answer Answer[V], err error) {
			verdict, err := p.judge(ctx, err)
			p.ended(answer, verdict, err)
		})
	}, "while polling")
	if err != nil {
		p.ended(Answer[V]{}, Verdict{Kind: "panic"}, err)
	}
}

// judge judges the error of a poll. A panic takes its place.
func (p *poller[K, V]) judge(ctx context.Context, cause error) (verdict Verdict, _ error) {
	if cause == nil || ctx.Err() != nil {
		return Verdict{}, cause
	}
	if err := panics.Catch(func() { verdict = p.hub.config.Judge(cause) }, "while judging"); err != nil {
		return Verdict{Kind: "panic"}, err
	}
	return verdict, cause
}

// ended handles the end of a poll.
func (p *poller[K, V]) ended(answer Answer[V], verdict Verdict, err error) {
	p.mu.Lock()
	p.cancelLocked()
	stopped := p.stopped
	p.mu.Unlock()
	if stopped {
		p.finish()
		return
	}
	done, ended := p.update(func(c *core[V]) (done change) {
		now := time.Now()
		c.ended(now, err)
		if err != nil {
			done = c.failed(err, verdict)
		} else {
			done = c.answered(answer)
		}
		c.overtime.end(now.Add(done.wait))
		return done
	})
	if done.regressed {
		p.hub.config.Regressed()
	}
	if ended || p.left() || !p.rest(done.wait) {
		p.finish()
	}
}

// rest waits for the next poll. It reports false if the poller was stopped.
func (p *poller[K, V]) rest(wait time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	p.rests = true
	if p.timer == nil {
		p.timer = time.AfterFunc(wait, p.due)
	} else {
		p.timer.Reset(wait)
	}
	return true
}

// stop ends the poller: at once if it rests, and otherwise when its poll or its predecessor has ended. Only the first call
// counts.
func (p *poller[K, V]) stop() {
	p.mu.Lock()
	p.stopped = true
	p.cancelLocked()
	resting := p.rests && p.timer.Stop()
	p.rests = false
	p.mu.Unlock()
	if resting {
		p.finish()
	}
}

// cancelLocked cancels the poll in flight, or releases what an ended one leaves.
func (p *poller[K, V]) cancelLocked() {
	if p.cancel != nil {
		p.cancel()
		p.cancel = nil
	}
}

// goStale ends the watch if it is stale. It does not wait for the poll in flight, which KooDrive may never answer. Only
// after a pause of the process does the watch get time for another poll.
func (p *poller[K, V]) goStale() {
	_, ended := p.update(func(c *core[V]) change {
		done := c.stale(time.Now())
		if done.wait > 0 {
			p.stale.Reset(done.wait)
		}
		return done
	})
	if ended {
		p.stop()
	}
}

// finish removes the poller from the hub, once it neither polls nor rests, and begins the next one.
func (p *poller[K, V]) finish() {
	p.mu.Lock()
	p.stopped = true
	if p.stale != nil {
		p.stale.Stop()
	}
	p.mu.Unlock()
	p.hub.mu.Lock()
	if p.hub.pollers[p.key] == p {
		delete(p.hub.pollers, p.key)
	}
	next := p.next
	p.hub.mu.Unlock()
	p.mu.Lock()
	p.finished = true
	if p.done != nil {
		close(p.done)
	}
	p.mu.Unlock()
	p.hub.running.Done()
	if next != nil {
		next.begin()
	}
}
