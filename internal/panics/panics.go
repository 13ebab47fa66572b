// Package panics turns panics into errors, where they would otherwise end the process or lose the request that they belong to. It does
// not log: the error goes the way of all others.
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

// Error is the error for p, the value of a panic, with the stack of the goroutine. Only the type of p is in it: p may hold anything, a
// token too. Where completes "panic of type T …".
func Error(p any, where string) error {
	return fmt.Errorf("panic of type %T %s\n%s", p, where, debug.Stack())
}

// Recover stops a panic and sets *err as [Error] does. It must be deferred itself, not called by a deferred function. Without a panic
// *err stays as it is.
func Recover(err *error, where string) {
	if p := recover(); p != nil {
		*err = Error(p, where)
	}
}
