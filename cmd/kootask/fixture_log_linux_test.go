package main

import (
	"os"
	"testing"
)

// Only Linux has /dev/full.
func init() {
	logs["the disk is full"] = func(t *testing.T) *os.File {
		f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
}
