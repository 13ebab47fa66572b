// Package panics turns panics into errors, where they would otherwise end the process or lose the request that they
// belong to. It does not log.
//
//	func ask() (err error) {
//		defer panics.Recover(&err, "while asking")
//		return somebody()
//	}
package panics

import (
	"fmt"
	"runtime/debug"
)

// Error returns the error for a panic with value p, with the goroutine's stack. It contains only the type of p, because
// p may hold a secret. where completes "panic of type T …".
func Error(p any, where string) error {
	return fmt.Errorf("panic of type %T %s\n%s", p, where, debug.Stack())
}

// Recover stops a panic and sets *err as [Error] does. It must be deferred directly, not called by a deferred function.
// Without a panic, *err is unchanged.
func Recover(err *error, where string) {
	if p := recover(); p != nil {
		*err = Error(p, where)
	}
}

// Catch calls f, and returns the error of a panic in it; nil without one. It is for a caller that must act on a panic.
func Catch(f func(), where string) (err error) {
	defer Recover(&err, where)
	f()
	return nil
}
