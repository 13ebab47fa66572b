//go:build !linux

package main

import "syscall"

// limitSilence does nothing: only Linux has the option.
func limitSilence(string, string, syscall.RawConn) error { return nil }
