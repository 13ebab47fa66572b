// Package observe keeps the newest observation of each key and allows one request per key at a time: calls that arrive
// while it is in flight share its answer. The package does not know the requests or their target. It has no
// goroutines.
//
//	o := observe.New[Key, Task](observe.Config[Task]{Final: Task.Done})
//	defer o.Close()
//	…
//	observation, err := o.Get(ctx, key, observe.Wish{}, func(ctx context.Context, begun func(), done func(Task, error)) { … })
package observe

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/kootask/kootask/internal/expiring"
)

// Defaults of Config.
const (
	DefaultKeep = time.Minute
	DefaultMax  = 100_000
)

// Config configures an Observer.
type Config[V any] struct {
	// Final reports whether a value can no longer change. Required.
	Final func(V) bool
	// Keep is how long an observation is kept. 0: DefaultKeep.
	Keep time.Duration
	// Max is the number of observations kept. 0: DefaultMax.
	Max int
}

// Observation is a value and the time at which it was true.
type Observation[V any] struct {
	Value V
	// Asked and Answered are the times at which its request began and ended. Its age counts from Asked.
	Asked, Answered time.Time
	// Source is where the call got the observation from.
	Source Source
}

// Source says how an observation was obtained.
type Source int

const (
	// Fresh means that the call made the request.
	Fresh Source = iota
	// Joined means that the call joined a request in flight.
	Joined
	// Memory means that an earlier request had brought the observation.
	Memory
)

// Observer holds the observations of all keys. It is safe for concurrent use.
type Observer[K comparable, V any] struct {
	final   func(V) bool
	kept    *expiring.Cache[K, record[V]]
	flights map[K]*flight[V] // Requests in flight. Guarded by mu.
	calls   uint64           // The last number given; calls and flights share one sequence. Guarded by mu.
	mu      sync.Mutex
	running sync.WaitGroup // The flights.
}

// record is an observation with the number of its flight.
type record[V any] struct {
	Observation[V]
	number uint64
}

// New returns an Observer. Close it.
func New[K comparable, V any](config Config[V]) *Observer[K, V] {
	keep, most := config.Keep, config.Max
	if keep <= 0 {
		keep = DefaultKeep
	}
	if most <= 0 {
		most = DefaultMax
	}
	return &Observer[K, V]{
		final:   config.Final,
		kept:    expiring.New[K, record[V]](most, keep),
		flights: map[K]*flight[V]{},
	}
}

// Close waits for the requests in flight and frees the observations. No call of Get or Begin may be in flight.
func (o *Observer[K, V]) Close() {
	o.running.Wait()
	o.kept.Close()
}

// Wish describes the observation that a caller of Get accepts.
type Wish struct {
	// MaxAge limits how long before the call the request may have begun; 0: it must begin after the call. Nil: any
	// request in flight and any final observation are accepted, and those of Recent.
	MaxAge *time.Duration
	// Recent is how long before the call the request of an observation in memory may have begun, if MaxAge is nil. 0: only a
	// final observation is taken from memory.
	Recent time.Duration
	// Patience limits how long the call waits for its request to begin: it may be queued. 0: no limit.
	Patience time.Duration
}

// Ask requests a value. It does not block: it calls done once with the result, before it returns or later, and soon
// after ctx has ended at the latest. It calls begun when the request begins; without that call, the request counts as
// begun when it is done.
type Ask[V any] func(ctx context.Context, begun func(), done func(V, error))

// ErrNotBegun reports that the request of a call did not begin within the call's patience.
var ErrNotBegun = errors.New("the request has not begun")

// Get returns an observation of key that satisfies wish: from memory, from a request for key in flight, or by calling
// ask.
//
// If ctx comes from a [Spending], Get adds to its Spent the time that the call waited in each stage, whichever call
// began the request.
//
// ask gets a context that has the values of ctx and ends when no call waits for the answer any more. All calls that
// wait share its error, which is not kept; a panic of ask becomes an error. Get fails with ctx's error if ctx ends
// first, and with ErrNotBegun if wish.Patience does.
func (o *Observer[K, V]) Get(ctx context.Context, key K, wish Wish, ask Ask[V]) (Observation[V], error) {
	if ctx.Err() != nil {
		return Observation[V]{}, ctx.Err()
	}
	c := o.call(wish)
	for {
		kept, f, joined := o.enter(ctx, key, c, ask)
		if f == nil {
			return kept, nil
		}
		if joined {
			defer f.stages.spend(ctx, c.at)
			return o.wait(ctx, f, wish.Patience, kept.Source)
		}
		select {
		case <-f.done:
		case <-ctx.Done():
		}
		f.stages.spend(ctx, c.at)
		if ctx.Err() != nil {
			return Observation[V]{}, ctx.Err()
		}
	}
}

// Kept returns the observation of key from memory, if Get would. It starts nothing and does not block.
func (o *Observer[K, V]) Kept(key K, wish Wish) (Observation[V], bool) {
	r, ok := o.kept.Get(key)
	if !ok {
		return Observation[V]{}, false
	}
	c := call{wish: wish, at: time.Now(), number: math.MaxUint64} // No kept request began after it.
	r.Source = Memory
	return r.Observation, c.takes(r.Asked, r.number, o.final(r.Value))
}

// Begin is Get with an empty Wish, without blocking: it calls then once with the result, before it returns or later.
func (o *Observer[K, V]) Begin(ctx context.Context, key K, ask Ask[V], then func(Observation[V], error)) {
	if ctx.Err() != nil {
		then(Observation[V]{}, ctx.Err())
		return
	}
	switch kept, f, joined := o.enter(ctx, key, o.call(Wish{}), ask); {
	case f == nil:
		then(kept, nil)
	case joined:
		source := kept.Source // A closure with all of kept would move it to the heap, also when it is returned.
		stay := context.AfterFunc(ctx, func() {
			o.leave(f)
			then(Observation[V]{}, ctx.Err())
		})
		o.after(f, func() {
			if stay() {
				result := f.result
				result.Source = source
				then(result, f.err)
			}
		})
	default:
		o.after(f, func() { o.Begin(ctx, key, ask, then) })
	}
}

// call is a call of Get or Begin.
type call struct {
	wish   Wish
	at     time.Time
	number uint64
}

func (o *Observer[K, V]) call(wish Wish) call {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls++
	return call{wish: wish, at: time.Now(), number: o.calls}
}

// joins reports whether the call accepts the answer of a request in flight, which began at a time, as number n.
func (c call) joins(asked time.Time, n uint64) bool {
	return c.wish.MaxAge == nil || c.within(*c.wish.MaxAge, asked) && (*c.wish.MaxAge > 0 || n > c.number)
}

// takes reports whether the call accepts an observation in memory, whose request began at a time, as number n.
func (c call) takes(asked time.Time, n uint64, final bool) bool {
	if c.wish.MaxAge != nil {
		return c.joins(asked, n)
	}
	return final || c.wish.Recent > 0 && c.within(c.wish.Recent, asked)
}

// within reports whether a time is at most age before the call.
func (c call) within(age time.Duration, at time.Time) bool { return !at.Before(c.at.Add(-age)) }

// enter returns one of these, whichever the call needs:
//  1. A kept observation. f is nil then.
//  2. The request in flight, or a new one, which the call has joined. Of the observation, only the Source is set.
//  3. Nothing yet, as the request in flight was cancelled or began too early. The call waits for its end, and enters
//     again: there is one request per key at a time.
func (o *Observer[K, V]) enter(ctx context.Context, key K, c call, ask Ask[V]) (kept Observation[V], f *flight[V], joined bool) {
	o.mu.Lock()
	if r, ok := o.kept.Get(key); ok && c.takes(r.Asked, r.number, o.final(r.Value)) {
		o.mu.Unlock()
		r.Source = Memory
		return r.Observation, nil, false
	}
	f = o.flights[key]
	begins := f == nil
	switch {
	case begins:
		f = o.start(ctx, key)
		kept.Source = Fresh
	case f.waiting == 0 || !c.joins(f.asked, f.number):
		o.mu.Unlock()
		return kept, f, false
	default:
		kept.Source = Joined
	}
	f.waiting++
	o.mu.Unlock()
	if begins {
		o.run(key, f, ask)
	}
	return kept, f, true
}
