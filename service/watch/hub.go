// Package watch polls one key for many watchers: the first one starts the key's poller, the last one to leave stops it,
// and however many there are, it is asked once per interval.
//
// Fan-out is level-triggered. The poller replaces the key's state and wakes whoever watches; each watcher reads the
// state when it gets to it. So nobody waits for a slow watcher, nobody is dropped for being one, values may be skipped,
// and the last one is never missed.
//
// The package knows nothing of tasks, gRPC or HTTP. What polling a key means is the subscriber's: see [Hub.Subscribe].
package watch

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kootask/kootask/internal/panics"
)

// Config is how a Hub polls and what its values mean.
type Config[V any] struct {
	// Min is the interval after a value changed, and Max the longest while nothing changes. See [Growth] and [JitterShare].
	Min, Max time.Duration
	// BackoffMax is the longest wait after failures. See [Backoff].
	BackoffMax time.Duration
	// Rank orders values: one of a lower rank than the one before is not published.
	Rank func(V) int
	// Same tells whether two values do not differ for watchers.
	Same func(a, b V) bool
	// Final tells whether a value does not change any more.
	Final func(V) bool
	// Regressed is called, without a lock, when a value is held back for its lower rank. Nil: nothing is called.
	Regressed func()
	// Judge tells how the error of a poll is taken. It is called once for each, without a lock.
	Judge func(error) Verdict
	// WaitMax is how far a verdict's wait may be made longer at random. 0: it is not.
	WaitMax time.Duration
	// StaleAfter is after how long without an answer a watch ends. 0: it does not. If the process was paused meanwhile, so that
	// no poll was made in time, the watch polls once before it ends.
	StaleAfter time.Duration
	// Stale is the end of such a watch, given what the last poll failed with; nil if none has ended yet.
	Stale func(last error) error
	// Random returns a number of [0, 1). Nil is math/rand's.
	Random func() float64
}

// Poll asks for the value of a key. It returns soon after ctx has ended.
type Poll[V any] func(ctx context.Context) (Answer[V], error)

// Hub holds the pollers of all keys that are watched. It is safe for concurrent use.
type Hub[K comparable, V any] struct {
	config  Config[V]
	mu      sync.Mutex          // Taken before a poller's.
	pollers map[K]*poller[K, V] // The newest of each key, until it has stopped. Guarded by mu.
	closed  error               // Why nobody can subscribe any more. Guarded by mu.
	running sync.WaitGroup      // The pollers' goroutines.
}

// NewHub returns a Hub. Close it.
func NewHub[K comparable, V any](config Config[V]) *Hub[K, V] {
	if config.Random == nil {
		config.Random = rand.Float64
	}
	if config.Regressed == nil {
		config.Regressed = func() {}
	}
	return &Hub[K, V]{config: config, pollers: map[K]*poller[K, V]{}}
}

// poller polls one key, from its first subscriber to its last.
type poller[K comparable, V any] struct {
	hub  *Hub[K, V]
	key  K
	poll Poll[V]

	retired bool // Its last subscriber has left. Guarded by the hub's mu.
	cancel  context.CancelFunc
	done    chan struct{} // Closed by run.

	mu          sync.Mutex
	stale       *time.Timer                   // Calls goStale when there was no answer for too long; nil if that does not matter. Guarded by mu.
	core        core[V]                       // Guarded by mu.
	subscribers map[*Subscription[V]]struct{} // Guarded by mu.
}

// Subscription is one watcher of one key. Its methods are for one goroutine.
type Subscription[V any] struct {
	wake  chan<- struct{} // A token means that there may be something to see.
	read  func() State[V]
	leave func()
	seen  uint64 // The revision that Next has handed out last.
}

// Next returns the state of the key, and whether its value is new to this subscription and may be shown. It does not
// block.
func (s *Subscription[V]) Next() (state State[V], unseen bool) {
	state = s.read()
	if state.Doubted {
		return state, false
	}
	unseen = state.Revision > s.seen
	s.seen = state.Revision
	return state, unseen
}

// Close leaves. If it was the last subscription of the key, the poller is stopped, and Close returns when it has.
func (s *Subscription[V]) Close() { s.leave() }

func (s *Subscription[V]) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // It was woken before and has not looked yet.
	}
}

// Subscribe watches key: it joins the key's poller, or starts one that calls poll at once. The key stands for everything
// that poll depends on, so that any subscriber's poll may serve all.
//
// The subscription sends to wake, if there is room, whenever Next may have something new. Give it room for one token at least, and do
// not close it. Several subscriptions may share it: a token then says that one of them may have something new.
//
// A subscription to a hub that was drained has ended from the start.
func (h *Hub[K, V]) Subscribe(key K, poll Poll[V], wake chan<- struct{}) *Subscription[V] {
	s := &Subscription[V]{wake: wake}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed != nil {
		ended := State[V]{Err: h.closed, Ended: true}
		s.read, s.leave = func() State[V] { return ended }, func() {}
		s.notify()
		return s
	}
	p := h.pollers[key]
	if p == nil || p.retired {
		p = h.start(key, poll, p)
	}
	s.read, s.leave = p.state, func() { p.remove(s) }

	p.mu.Lock()
	defer p.mu.Unlock()
	p.subscribers[s] = struct{}{}
	if p.core.state.Revision > 0 || p.core.state.Err != nil {
		s.notify()
	}
	return s
}

// start begins to poll key, once before has stopped. The caller holds mu.
func (h *Hub[K, V]) start(key K, poll Poll[V], before *poller[K, V]) *poller[K, V] {
	ctx, cancel := context.WithCancel(context.Background())
	p := &poller[K, V]{
		hub: h, key: key, poll: poll, cancel: cancel, done: make(chan struct{}),
		core:        core[V]{config: h.config, heard: time.Now()},
		subscribers: map[*Subscription[V]]struct{}{},
	}
	h.pollers[key] = p
	h.running.Go(func() {
		if before != nil {
			<-before.done
		}
		p.run(ctx)
	})
	return p
}

// Watches reports whether key is watched.
func (h *Hub[K, V]) Watches(key K) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pollers[key] != nil
}

// Keys returns how many keys are watched.
func (h *Hub[K, V]) Keys() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.pollers)
}

// Silence returns for how long the key that has gone longest without an answer has. It looks at each.
func (h *Hub[K, V]) Silence() (silence time.Duration) {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.pollers {
		p.mu.Lock()
		silence = max(silence, now.Sub(p.core.heard))
		p.mu.Unlock()
	}
	return silence
}

// Drain ends every watch with err, and every one that would begin later.
func (h *Hub[K, V]) Drain(err error) {
	h.mu.Lock()
	pollers := h.pollers
	h.pollers, h.closed = map[K]*poller[K, V]{}, err
	h.mu.Unlock()
	for _, p := range pollers {
		p.update(func(c *core[V]) change { return c.end(err) })
		p.cancel()
	}
}

// Close drains the hub with err, and returns when no poller is left.
func (h *Hub[K, V]) Close(err error) {
	h.Drain(err)
	h.running.Wait()
}

// remove takes s off the poller, and stops it if nobody else watches.
func (p *poller[K, V]) remove(s *Subscription[V]) {
	p.hub.mu.Lock()
	p.mu.Lock()
	delete(p.subscribers, s)
	last := len(p.subscribers) == 0
	p.retired = last
	p.mu.Unlock()
	p.hub.mu.Unlock()
	if last {
		p.cancel()
		<-p.done
	}
}

func (p *poller[K, V]) state() State[V] {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.state
}

// update changes the state, and wakes the subscribers if they have something to see.
func (p *poller[K, V]) update(apply func(*core[V]) change) (done change, ended bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	done = apply(&p.core)
	if done.news {
		for s := range p.subscribers {
			s.notify()
		}
	}
	return done, p.core.state.Ended
}

// run polls until ctx ends or there is nothing more to learn, and then leaves the hub.
func (p *poller[K, V]) run(ctx context.Context) {
	defer close(p.done)
	defer p.cancel()
	defer func() {
		p.hub.mu.Lock()
		defer p.hub.mu.Unlock()
		if p.hub.pollers[p.key] == p {
			delete(p.hub.pollers, p.key)
		}
	}()
	p.mu.Lock()
	p.core.overtime.end(time.Now()) // The first poll is due.
	if after := p.hub.config.StaleAfter; after > 0 {
		p.stale = time.AfterFunc(after, p.goStale)
		defer p.stale.Stop()
	}
	p.mu.Unlock()
	for ctx.Err() == nil {
		wait, ended := p.once(ctx)
		if ended {
			return
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// goStale ends the watch if it is stale: KooDrive may be hanging, so this does not wait for a poll. Only after a pause of the
// process, in which KooDrive was not asked, there is time for one.
func (p *poller[K, V]) goStale() {
	_, ended := p.update(func(c *core[V]) change {
		done := c.stale(time.Now())
		if done.wait > 0 {
			p.stale.Reset(done.wait)
		}
		return done
	})
	if ended {
		p.cancel()
	}
}

// once polls once. A panic ends the watches of this key, and nothing else.
func (p *poller[K, V]) once(ctx context.Context) (wait time.Duration, ended bool) {
	p.update(func(c *core[V]) change {
		c.overtime.begin(time.Now())
		return change{}
	})
	answer, verdict, err := p.ask(ctx)
	if ctx.Err() != nil {
		return 0, true
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
	return done.wait, ended
}

// ask asks for the value, and judges an error.
func (p *poller[K, V]) ask(ctx context.Context) (answer Answer[V], verdict Verdict, err error) {
	defer func() {
		if v := recover(); v != nil {
			verdict, err = Verdict{Kind: "panic"}, panics.Error(v, "while polling")
		}
	}()
	if answer, err = p.poll(ctx); err != nil && ctx.Err() == nil {
		verdict = p.hub.config.Judge(err)
	}
	return answer, verdict, err
}
