//go:build !linux

package main

import "syscall"

// limitSilence has no effect here, because only Linux has the limit.
func limitSilence(string, string, syscall.RawConn) error { return nil }
