// Package bounded calls functions that should return when their context ends, without relying on it.
//
// A library may be blocked on a lock, or on a connection whose Close does nothing. A goroutine cannot be ended from
// outside, so a blocked one is left behind. After ErrAbandoned, the caller should not use the function's objects again.
//
//	body, err := bounded.Call(ctx, func() ([]byte, error) { return get(ctx, url) })
package bounded

import (
	"context"
	"errors"
	"time"
)

// Obedience is how long after the end of its context a call may still return.
const Obedience = 100 * time.Millisecond

// ErrAbandoned reports that a call did not return.
var ErrAbandoned = errors.New("the call did not return after its deadline")

// Call returns f's result, or ErrAbandoned if f has not returned within Obedience after the end of ctx. f runs in its
// own goroutine. If it panics, so does Call.
func Call[T any](ctx context.Context, f func() (T, error)) (T, error) {
	return CallIn(ctx, func(f func()) { go f() }, f)
}

// CallIn is Call with a function that starts the goroutine of f, such as that of a pool. It must not block.
func CallIn[T any](ctx context.Context, start func(func()), f func() (T, error)) (T, error) {
	type end struct {
		value T
		err   error
		panic any
	}
	done := make(chan end, 1)
	start(func() {
		var e end
		defer func() {
			e.panic = recover()
			done <- e
		}()
		e.value, e.err = f()
	})
	var e end
	select {
	case e = <-done:
	case <-ctx.Done():
		patience := time.NewTimer(Obedience)
		defer patience.Stop()
		select {
		case e = <-done:
		case <-patience.C:
			var none T
			return none, ErrAbandoned
		}
	}
	if e.panic != nil {
		panic(e.panic)
	}
	return e.value, e.err
}
