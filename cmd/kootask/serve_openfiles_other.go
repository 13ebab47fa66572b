//go:build !unix

package main

import "math"

// openFiles returns the limit on open files of the process. This system has no limit that Go can read.
func openFiles() int { return math.MaxInt32 }
