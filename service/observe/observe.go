// Package observe keeps the newest observation of each key and allows one request per key at a time: calls that arrive
// while it is in flight share its answer. The package does not know what is requested, or from whom.
//
//	o := observe.New[Key, Task](observe.Config[Task]{Final: Task.Done})
//	defer o.Close()
//	…
//	observation, err := o.Get(ctx, key, observe.Wish{}, func(ctx context.Context, begun func()) (Task, error) { … })
package observe

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/kootask/kootask/internal/expiring"
	"github.com/kootask/kootask/internal/panics"
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
	running sync.WaitGroup // The flights' goroutines.
}

// record is an observation with the number of its flight.
type record[V any] struct {
	Observation[V]
	number uint64
}

// flight is one request in flight. It ends with its answer, or is cancelled once no call waits for it.
type flight[V any] struct {
	number  uint64
	asked   time.Time
	waiting int // The calls that wait. Guarded by Observer.mu. 0: cancelled, no call may join.
	cancel  context.CancelFunc
	begun   chan struct{} // Closed when ask calls begun, and at the latest when ask returns.
	done    chan struct{} // Closed by the flight's goroutine, after it has set result and err.
	result  Observation[V]
	err     error
	stages  timeline
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

// Close waits for the requests in flight and frees the observations. No call of Get may be in flight.
func (o *Observer[K, V]) Close() {
	o.running.Wait()
	o.kept.Close()
}

// Wish is what a caller of Get accepts.
type Wish struct {
	// MaxAge limits how long before the call the request may have begun; 0: it must begin after the call. Nil: any
	// request in flight and any final observation are accepted.
	MaxAge *time.Duration
	// Patience limits how long the call waits for its request to begin: it may be queued. 0: no limit.
	Patience time.Duration
}

// Ask requests a value. It calls begun when the request begins; without that call, the request counts as begun when Ask
// returns.
type Ask[V any] func(ctx context.Context, begun func()) (V, error)

// ErrNotBegun reports that the request of a call did not begin within the call's patience.
var ErrNotBegun = errors.New("the request has not begun")

// Get returns an observation of key that satisfies wish: from memory, from a request for key in flight, or by calling
// ask.
//
// If ctx comes from [WithSpent], Get adds to its Spent the time that the call waited in each stage, whichever call
// began the request.
//
// ask runs in its own goroutine with a context that has the values of ctx and ends when no call waits for the answer
// any more. All calls that wait share its error, which is not kept; a panic becomes an error. Get fails with ctx's
// error if ctx ends first, and with ErrNotBegun if wish.Patience does.
func (o *Observer[K, V]) Get(ctx context.Context, key K, wish Wish, ask Ask[V]) (Observation[V], error) {
	maxAge := wish.MaxAge
	if ctx.Err() != nil {
		return Observation[V]{}, ctx.Err()
	}
	called := time.Now()
	o.mu.Lock()
	o.calls++
	number := o.calls
	fresh := func(asked time.Time, n uint64) bool {
		return !asked.Before(called.Add(-*maxAge)) && (*maxAge > 0 || n > number)
	}
	for {
		// 1. A kept observation may do.
		if r, ok := o.kept.Get(key); ok {
			if maxAge == nil && o.final(r.Value) || maxAge != nil && fresh(r.Asked, r.number) {
				o.mu.Unlock()
				r.Source = Memory
				return r.Observation, nil
			}
		}
		f, source := o.flights[key], Joined
		// 2. Otherwise begin a request, unless one is in flight.
		if f == nil {
			f, source = o.start(ctx, key, ask), Fresh
		} else if f.waiting == 0 || maxAge != nil && !fresh(f.asked, f.number) {
			// That one was cancelled or began too early. Wait for its end: there is one request per key at a time.
			o.mu.Unlock()
			select {
			case <-f.done:
			case <-ctx.Done():
			}
			f.stages.spend(ctx, called)
			if ctx.Err() != nil {
				return Observation[V]{}, ctx.Err()
			}
			o.mu.Lock()
			continue
		}
		// 3. Wait for the request, without the lock.
		f.waiting++
		o.mu.Unlock()
		defer f.stages.spend(ctx, called)
		if err := f.begins(ctx, wish.Patience); err != nil {
			o.leave(f)
			return Observation[V]{}, err
		}
		select {
		case <-f.done:
			result := f.result
			result.Source = source
			return result, f.err
		case <-ctx.Done():
			o.leave(f)
			return Observation[V]{}, ctx.Err()
		}
	}
}

// Kept returns the observation of key from memory, if Get would: see [Wish.MaxAge]. It starts nothing and does not block.
func (o *Observer[K, V]) Kept(key K, maxAge *time.Duration) (Observation[V], bool) {
	r, ok := o.kept.Get(key)
	switch {
	case !ok:
		return Observation[V]{}, false
	case maxAge == nil:
		ok = o.final(r.Value)
	default: // No kept request began after this call.
		ok = *maxAge > 0 && !r.Asked.Before(time.Now().Add(-*maxAge))
	}
	r.Source = Memory
	return r.Observation, ok
}

// begins waits until the request of f begins. It fails if ctx or patience ends first.
func (f *flight[V]) begins(ctx context.Context, patience time.Duration) error {
	if patience <= 0 {
		return nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-f.begun:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ErrNotBegun
	}
}

// leave removes a waiting call from f, and cancels f if it was the last.
func (o *Observer[K, V]) leave(f *flight[V]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
	}
}

// start begins a request for key, in a new goroutine. The caller holds mu.
func (o *Observer[K, V]) start(ctx context.Context, key K, ask Ask[V]) *flight[V] {
	o.calls++
	f := &flight[V]{number: o.calls, asked: time.Now(), begun: make(chan struct{}), done: make(chan struct{})}
	begun := sync.OnceFunc(func() { close(f.begun) })
	ctx, f.cancel = context.WithCancel(context.WithValue(context.WithoutCancel(ctx), timelineKey{}, &f.stages))
	o.flights[key] = f
	o.running.Go(func() {
		defer f.cancel()
		defer begun()
		value, err := guard(ctx, begun, ask)
		f.result, f.err = Observation[V]{Value: value, Asked: f.asked, Answered: time.Now()}, err
		f.stages.enter(Idle)

		o.mu.Lock()
		delete(o.flights, key)
		if err == nil {
			o.kept.Set(key, record[V]{f.result, f.number})
		}
		o.mu.Unlock()
		close(f.done)
	})
	return f
}

// guard calls ask and turns a panic into an error, without the panic's value: that may hold secrets.
func guard[V any](ctx context.Context, begun func(), ask Ask[V]) (value V, err error) {
	defer panics.Recover(&err, "while asking")
	return ask(ctx, begun)
}
