// Package bounded calls what should return when its context ends, and does not rely on that.
//
// A library may be stuck on a lock, or on a connection whose Close does nothing. No goroutine can be ended from outside, so the
// one that is stuck is left behind, and nobody waits for it. Whoever gets ErrAbandoned should use nothing of it again.
//
//	body, err := bounded.Call(ctx, func() ([]byte, error) { return get(ctx, url) })
package bounded

import (
	"context"
	"errors"
	"time"
)

// Obedience is how long after the end of its context a call may take to return.
const Obedience = 100 * time.Millisecond

// ErrAbandoned is the end of a call that has not returned.
var ErrAbandoned = errors.New("the call did not return after its deadline")

// Call returns what f returns, or ErrAbandoned soon after ctx has ended. f runs in a goroutine of its own; its panic is Call's.
func Call[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type end struct {
		value T
		err   error
		panic any
	}
	done := make(chan end, 1)
	go func() {
		var e end
		defer func() {
			e.panic = recover()
			done <- e
		}()
		e.value, e.err = f()
	}()
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
