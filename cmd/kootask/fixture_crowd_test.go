package main

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ending is the end of a stream.
type ending struct {
	door
	last event
	at   time.Time
}

// crowd opens streams, number i as choose says, and returns when each has seen a task and none has ended. The channel yields the
// ending of each. Call leave to end those that are still open, or the test hangs.
func crowd(t *testing.T, streams int, choose func(i int) (d door, token, id string)) (endings chan ending, leave func()) {
	t.Helper()
	// No deadline, which would be sent on.
	ctx, cancel := context.WithCancel(t.Context())
	patience := time.AfterFunc(5*time.Minute, cancel)
	endings = make(chan ending, streams)
	opening := make(chan struct{}, 64) // All at once would exceed a port's backlog.
	var open sync.WaitGroup
	open.Add(streams)
	for i := range streams {
		go func() {
			opening <- struct{}{}
			opened := sync.OnceFunc(func() { <-opening; open.Done() })
			d, token, id := choose(i)
			var last event
			d.watch(ctx, token, id, func(e event) {
				if last = e; e.name == "task" {
					opened()
				}
			})
			endings <- ending{d, last, time.Now()}
			opened()
		}()
	}
	open.Wait()
	if n := len(endings); n > 0 {
		e := <-endings
		t.Fatalf("%d of %d streams ended too early, one over %s with: %v", n, streams, e.surface, e.last)
	}
	return endings, func() { patience.Stop(); cancel() }
}

// needFiles skips a test that needs more connections than the system allows.
func needFiles(t *testing.T, n uint64) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if n > mostFiles {
		t.Fatalf("%d open files are more than .ci/missing looks for", n)
	}
	if limit.Cur < n { // Go has raised it to the maximum.
		notTried(t, "thousands of watches")
	}
}

// mostFiles is the number of open files that .ci/missing requires.
const mostFiles = 17_000
