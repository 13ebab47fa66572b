//go:build !unix

package main

import "math"

// openFiles returns the limit on open files of the process. Go cannot read one on this system.
func openFiles() int { return math.MaxInt32 }
