// Package observe keeps the newest observation of each key, and makes sure that no two requests for one key are under
// way: who asks while one is shares its answer. What is asked, and of whom, it does not know.
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

// Config says what is kept.
type Config[V any] struct {
	// Final tells whether a value does not change any more. Required.
	Final func(V) bool
	// Keep is how long an observation is kept. 0 is DefaultKeep.
	Keep time.Duration
	// Max is how many are kept. 0 is DefaultMax.
	Max int
}

// Observation is a value and when it was true.
type Observation[V any] struct {
	Value V
	// Asked and Answered are the moments at which the request for it began and ended. Its age counts from Asked.
	Asked, Answered time.Time
	// Source is where this call has it from.
	Source Source
}

// Source is where an observation comes from.
type Source int

const (
	// Fresh is a request that was made for the call.
	Fresh Source = iota
	// Joined is one in flight.
	Joined
	// Memory is one from before.
	Memory
)

// Observer holds the observations of all keys. It is safe for concurrent use.
type Observer[K comparable, V any] struct {
	final   func(V) bool
	kept    *expiring.Cache[K, record[V]]
	flights map[K]*flight[V] // Guarded by mu.
	calls   uint64           // Numbers calls and flights in the order in which they came. Guarded by mu.
	mu      sync.Mutex
	running sync.WaitGroup // The flights' goroutines.
}

// record is an observation with the number of its flight.
type record[V any] struct {
	Observation[V]
	number uint64
}

// flight is one request in flight. It ends when it is answered, or when nobody waits for it any more.
type flight[V any] struct {
	number  uint64
	asked   time.Time
	waiting int // Guarded by Observer.mu. A flight that nobody waits for was cancelled.
	cancel  context.CancelFunc
	begun   chan struct{} // Closed when ask says that its request has begun, or at the end.
	done    chan struct{} // Closed by the flight's goroutine, after the next two were set.
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

// Close waits for the requests in flight, and stops what keeps the observations. Nobody may wait in Get.
func (o *Observer[K, V]) Close() {
	o.running.Wait()
	o.kept.Close()
}

// Wish is what an observation has to be.
type Wish struct {
	// MaxAge is how long ago the request that brought it may have begun; 0: after the call. Nil: any request that is under
	// way will do, and any observation that is kept and final.
	MaxAge *time.Duration
	// Patience is how long the request may take to begin: it may have to wait for its turn. 0: as long as it takes.
	Patience time.Duration
}

// Ask asks for a value. It calls begun when the request begins, if that is not at once.
type Ask[V any] func(ctx context.Context, begun func()) (V, error)

// ErrNotBegun is the end of a call whose request has not begun before its patience was over.
var ErrNotBegun = errors.New("the request has not begun")

// Get returns an observation of key as wished. Where it has none, it calls ask, or waits for the call of ask for the same
// key in flight, whoever began it.
//
// If ctx is of [WithSpent], Get adds to its Spent how long it has waited for a request, its own or another's, in which stage.
//
// ask runs on a context of its own, which has the values of ctx, and ends when nobody waits for its answer any more. An
// error of ask goes to all who wait for it and is not kept; a panic is an error. If ctx ends first, Get fails with ctx's
// error, and if its patience does, with ErrNotBegun.
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
		if r, ok := o.kept.Get(key); ok {
			if maxAge == nil && o.final(r.Value) || maxAge != nil && fresh(r.Asked, r.number) {
				o.mu.Unlock()
				r.Source = Memory
				return r.Observation, nil
			}
		}
		f, source := o.flights[key], Joined
		if f == nil {
			f, source = o.start(ctx, key, ask), Fresh
		} else if f.waiting == 0 || maxAge != nil && !fresh(f.asked, f.number) {
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

// begins waits until the request of f begins, unless ctx or the patience ends first.
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

// leave ends f if nobody waits for it any more.
func (o *Observer[K, V]) leave(f *flight[V]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
	}
}

// start begins a request for key. The caller holds mu.
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

// guard calls ask and turns a panic into an error: it would end the process. The value of the panic may hold anything,
// and is left out.
func guard[V any](ctx context.Context, begun func(), ask Ask[V]) (value V, err error) {
	defer panics.Recover(&err, "while asking")
	return ask(ctx, begun)
}
