//go:build !unix

package main

import "math"

// openFiles is how many files the process may have open at a time. This system sets no limit that Go can read.
func openFiles() int { return math.MaxInt32 }
