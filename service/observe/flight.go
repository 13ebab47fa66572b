package observe

import (
	"context"
	"sync"
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
	// stages has an allocation of its own: a context that outlives the flight for a while refers to it.
	stages *timeline
}

// wait waits for a request that a call has joined.
func (o *Observer[K, V]) wait(ctx context.Context, f *flight[V], patience time.Duration, source Source) (Observation[V], error) {
	if err := f.begins(ctx, patience); err != nil {
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

// begins waits until the request of f begins. It fails if ctx or patience ends first.
func (f *flight[V]) begins(ctx context.Context, patience time.Duration) error {
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
	f := &flight[V]{
		number: o.calls, asked: time.Now(), begun: make(chan struct{}), done: make(chan struct{}), stages: &timeline{},
	}
	f.ctx, f.cancel = context.WithCancel(context.WithValue(context.WithoutCancel(ctx), timelineKey{}, f.stages))
	o.flights[key] = f
	return f
}

// run calls ask for a flight, and ends the flight when ask is done. A panic is an error, without the panic's value: that
// may hold secrets.
func (o *Observer[K, V]) run(key K, f *flight[V], ask Ask[V]) {
	begun := sync.OnceFunc(func() { close(f.begun) })
	var once sync.Once
	done := func(value V, err error) {
		once.Do(func() {
			begun()
			o.end(key, f, value, err)
		})
	}
	if err := panics.Catch(func() { ask(f.ctx, begun, done) }, "while asking"); err != nil {
		var none V
		done(none, err)
	}
}

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
