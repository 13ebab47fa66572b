package observe

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kootask/kootask/internal/panics"
)

// flight is one request in flight. It ends with its answer, or is cancelled once no call waits for it.
type flight[V any] struct {
	number  uint64
	asked   time.Time
	waiting int // The calls that wait. Guarded by Observer.mu. 0: cancelled, no call may join.
	ctx     context.Context
	cancel  context.CancelFunc
	begun   chan struct{} // Closed when ask calls begun, and at the latest when ask is done.
	done    chan struct{} // Closed with Observer.mu held, after result and err were set.
	result  Observation[V]
	err     error
	then    []func() // Called after done is closed. Guarded by Observer.mu.
	// stages is part of ctx, and not of the flight: a context that outlives the flight for a while refers to it.
	stages *timeline
	begins sync.Once
	ends   atomic.Bool // Ask is done.
}

// wait waits for a request that a call has joined.
func (o *Observer[K, V]) wait(ctx context.Context, f *flight[V], patience time.Duration, source Source) (Observation[V], error) {
	if err := f.awaitBegin(ctx, patience); err != nil {
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

// after calls then when f has ended.
func (o *Observer[K, V]) after(f *flight[V], then func()) {
	o.mu.Lock()
	select {
	case <-f.done:
		o.mu.Unlock()
		then()
	default:
		f.then = append(f.then, then)
		o.mu.Unlock()
	}
}

// awaitBegin waits until the request of f begins. It fails if ctx or patience ends first.
func (f *flight[V]) awaitBegin(ctx context.Context, patience time.Duration) error {
	if patience <= 0 {
		return nil
	}
	select {
	case <-f.begun: // As usual for a call that joins a request. It needs no timer.
		return nil
	default:
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

// start makes a flight for key. The caller holds mu, and then calls run without it.
func (o *Observer[K, V]) start(ctx context.Context, key K) *flight[V] {
	o.calls++
	o.running.Add(1)
	staged := withTimeline(context.WithoutCancel(ctx))
	f := &flight[V]{
		number: o.calls, asked: time.Now(), begun: make(chan struct{}), done: make(chan struct{}), stages: &staged.timeline,
	}
	f.ctx, f.cancel = context.WithCancel(staged)
	o.flights[key] = f
	return f
}

// run calls ask for a flight, and ends the flight when ask is done. A panic is an error, without the panic's value: that
// may hold secrets.
func (o *Observer[K, V]) run(key K, f *flight[V], ask Ask[V]) {
	done := func(value V, err error) {
		if !f.ends.Swap(true) {
			f.begin()
			o.end(key, f, value, err)
		}
	}
	if err := panics.Catch(func() { ask(f.ctx, f.begin, done) }, "while asking"); err != nil {
		var none V
		done(none, err)
	}
}

// begin records that the request of f has begun. Only the first call counts.
func (f *flight[V]) begin() { f.begins.Do(func() { close(f.begun) }) }

// end ends a flight with its result.
func (o *Observer[K, V]) end(key K, f *flight[V], value V, err error) {
	defer o.running.Done()
	defer f.cancel()
	f.result, f.err = Observation[V]{Value: value, Asked: f.asked, Answered: time.Now()}, err
	f.stages.enter(Idle)
	o.mu.Lock()
	delete(o.flights, key)
	if err == nil {
		o.kept.Set(key, record[V]{f.result, f.number})
	}
	then := f.then
	close(f.done)
	o.mu.Unlock()
	for _, next := range then {
		next()
	}
}
