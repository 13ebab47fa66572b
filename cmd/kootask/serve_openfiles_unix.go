//go:build unix

package main

import (
	"math"
	"syscall"
)

// openFiles returns the limit on open files of the process. Go raises it to the hard limit at startup.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
