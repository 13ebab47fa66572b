//go:build !linux

package main

import "syscall"

// limitSilence does nothing: the limit is Linux's.
func limitSilence(string, string, syscall.RawConn) error { return nil }
