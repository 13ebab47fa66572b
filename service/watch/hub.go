// Package watch polls one key for many watchers. The first watcher starts the key's poller and the last one to leave
// stops it; however many there are, the key is polled once per interval. Until the next poll would have begun, a new
// watcher goes on with what the last ones knew.
//
// Fan-out is level-triggered. The poller replaces the key's state and wakes the watchers' streams, whose steps read the
// state and send it: see [Senders]. A slow watcher delays nobody and is not dropped: it skips values, but never misses
// the last one.
//
// The package knows nothing of tasks, gRPC or HTTP. Each subscriber brings the function that polls the key: see
// [Hub.Subscribe].
package watch

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kootask/kootask/internal/expiring"
)

// Config configures a Hub. Rank, Same, Final, Stale and Random are called with a poller's lock held, for several keys at
// a time: they must not block or call the hub, and the first four must be pure.
type Config[V any] struct {
	// Min is the interval after a change. Each poll without a change multiplies it by Growth, up to Max. Every interval
	// is jittered by ±JitterShare.
	Min, Max time.Duration
	// BackoffMax is the longest wait after failures: each multiplies it by Backoff.
	BackoffMax time.Duration
	// Rank orders values: a value of a lower rank than the published one is held back.
	Rank func(V) int
	// Same reports whether two values look alike to watchers.
	Same func(a, b V) bool
	// Final reports whether a value can no longer change.
	Final func(V) bool
	// Regressed is called, without a lock, when a value of a lower rank is held back. Nil: it is not called.
	Regressed func()
	// Judge says how to treat the error of a poll. It is called once per error, without a lock.
	Judge func(error) Verdict
	// WaitMax limits how far jitter lengthens a verdict's Wait. 0: not at all.
	WaitMax time.Duration
	// StaleAfter ends a watch that gets no answer for so long. 0: never. If the process was paused in the meantime, so
	// that no poll was made in time, the watch polls once more before it ends.
	StaleAfter time.Duration
	// Stale returns the error that ends such a watch, given the error of the last poll; nil if none has ended yet.
	Stale func(last error) error
	// Random returns a number in [0, 1). Nil: rand.Float64.
	Random func() float64
	// Keep is the number of keys without watchers whose state is kept until their next poll would have begun. 0: nothing is kept.
	Keep int
}

// Poll fetches the value of a key. It does not block: it calls done once with the result, before it returns or later,
// and soon after ctx has ended at the latest. known is set if the hub has a value already.
type Poll[V any] func(ctx context.Context, known bool, done func(Answer[V], error))

// Hub holds the pollers of all watched keys. It is safe for concurrent use.
type Hub[K comparable, V any] struct {
	config  Config[V]
	mu      sync.Mutex                  // Taken before a poller's mu.
	pollers map[K]*poller[K, V]         // The newest poller of each key, until it has stopped. Guarded by mu.
	closed  error                       // The error that ends new subscriptions; nil while the hub is open. Guarded by mu.
	kept    *expiring.Cache[K, kept[V]] // Nil if Config.Keep is 0.
	running sync.WaitGroup              // The pollers.
}

// NewHub returns a Hub. Close it.
func NewHub[K comparable, V any](config Config[V]) *Hub[K, V] {
	if config.Random == nil {
		config.Random = rand.Float64
	}
	if config.Regressed == nil {
		config.Regressed = func() {}
	}
	h := &Hub[K, V]{config: config, pollers: map[K]*poller[K, V]{}}
	if config.Keep > 0 {
		longest := time.Duration(float64(config.Max) * (1 + JitterShare))
		h.kept = expiring.New[K, kept[V]](config.Keep, longest+KeepAfterDue)
	}
	return h
}

// Subscription is one watcher of one key. Its methods are for one goroutine at a time.
type Subscription[V any] struct {
	stream *Stream
	state  *atomic.Pointer[State[V]] // The poller's.
	from   source[V]
	place  int       // Index in the poller's subscribers. Guarded by the poller's mu.
	last   *State[V] // The state that was seen last. Nil before the first.
}

// source is a poller of any kind of key.
type source[V any] interface {
	same(a, b V) bool
	remove(s *Subscription[V], linger bool) (ended <-chan struct{})
}

// State returns the state of the key. It does not block. The state must not be changed.
func (s *Subscription[V]) State() *State[V] { return s.state.Load() }

// Peek returns the state of the key, and whether it has a value that this subscription has not seen and may show. It
// does not block. The state must not be changed.
func (s *Subscription[V]) Peek() (state *State[V], unseen bool) {
	state = s.state.Load()
	// A value that has changed and changed back meanwhile is not new.
	unseen = !state.Doubted && state.Revision > s.Seen() && (s.Seen() == 0 || !s.from.same(s.last.Value, state.Value))
	return state, unseen
}

// See records that the value of a state that Peek returned was shown.
func (s *Subscription[V]) See(state *State[V]) { s.last = state }

// Next is Peek, and then See unless the value may not be shown.
func (s *Subscription[V]) Next() (state *State[V], unseen bool) {
	state, unseen = s.Peek()
	if !state.Doubted {
		s.See(state)
	}
	return state, unseen
}

// Seen returns the revision that was seen last, or a later one with the same value. 0: none.
func (s *Subscription[V]) Seen() uint64 {
	if s.last == nil {
		return 0
	}
	return s.last.Revision
}

// Close leaves the key. The last subscription of a key stops its poller, whose poll may still take a moment to end.
func (s *Subscription[V]) Close() {
	if s.from != nil {
		s.from.remove(s, false)
	}
}

// Linger is Close, except that a poll in flight goes on to its end, so that its answer is kept for the next subscription. No
// other poll follows.
func (s *Subscription[V]) Linger() {
	if s.from != nil {
		s.from.remove(s, true)
	}
}

// Leave closes subscriptions, and returns after the end of all pollers that it stops, which end at the same time.
func Leave[V any](subscriptions ...*Subscription[V]) {
	var ended []<-chan struct{}
	for _, s := range subscriptions {
		if s.from == nil {
			continue
		}
		if last := s.from.remove(s, false); last != nil {
			ended = append(ended, last)
		}
	}
	for _, poller := range ended {
		<-poller
	}
}

// Subscribe watches key: it joins the key's poller, or starts one, which calls poll at once, or when it is due if the
// key's state was kept. The key must identify everything that poll depends on, so that the poll of any subscriber serves
// all.
//
// The subscription wakes stream whenever Next may return something new. Several subscriptions may share a stream: its
// step then asks each of them.
//
// After Drain, the subscription has ended from the start.
func (h *Hub[K, V]) Subscribe(key K, poll Poll[V], stream *Stream) *Subscription[V] {
	s := &Subscription[V]{stream: stream}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed != nil {
		s.state = &atomic.Pointer[State[V]]{}
		s.state.Store(&State[V]{Err: h.closed, Ended: true})
		stream.Wake()
		return s
	}
	p := h.pollers[key]
	if p == nil || p.retired {
		p = h.start(key, poll, p)
	}
	p.add(s)
	return s
}

// Join is Subscribe for a key that others watch. If there are none, it returns nil.
func (h *Hub[K, V]) Join(key K, stream *Stream) *Subscription[V] {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.pollers[key]
	if p == nil || p.retired {
		return nil
	}
	s := &Subscription[V]{stream: stream}
	p.add(s)
	return s
}

// start starts a poller of key, which begins after the poller before, if any, has ended. The caller holds mu.
func (h *Hub[K, V]) start(key K, poll Poll[V], before *poller[K, V]) *poller[K, V] {
	p := &poller[K, V]{
		hub: h, key: key, poll: poll,
		core: core[V]{config: &h.config, state: &State[V]{}, heard: time.Now()},
	}
	if known, ok := h.takeLocked(key); ok {
		p.core = resume(&h.config, known)
	}
	p.state.Store(p.core.state)
	h.pollers[key] = p
	h.running.Add(1)
	if before != nil {
		before.next = p
	} else {
		go p.begin()
	}
	return p
}

// Keys returns the number of watched keys.
func (h *Hub[K, V]) Keys() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.pollers)
}

// Silence returns the age of the oldest last answer among all keys. It visits each key.
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

// Drain ends every present and future watch with err.
func (h *Hub[K, V]) Drain(err error) {
	h.mu.Lock()
	pollers := h.pollers
	h.pollers, h.closed = map[K]*poller[K, V]{}, err
	h.mu.Unlock()
	for _, p := range pollers {
		p.update(func(c *core[V]) change { return c.end(err) })
		p.stop()
	}
}

// Close drains the hub with err and waits for the end of its pollers.
func (h *Hub[K, V]) Close(err error) {
	h.Drain(err)
	h.running.Wait()
	if h.kept != nil {
		h.kept.Close()
	}
}
