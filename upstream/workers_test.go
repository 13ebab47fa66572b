package upstream

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A goroutine that waits gets the next function. However many run at once, few are kept afterwards, and only those that are
// needed. The bubble ends only if close ends them all.
func TestWorkersAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers()
		defer w.close()
		kept := func() int {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.idle
		}
		for range 10 {
			w.run(func() {})
			if n := kept(); n != 1 {
				t.Fatalf("%d goroutines are kept for one function at a time", n)
			}
		}
		var running atomic.Int32
		end := make(chan struct{})
		for range 2 * maxIdle {
			w.run(func() {
				running.Add(1)
				<-end
			})
		}
		if n := kept(); n != 0 || running.Load() != 2*maxIdle {
			t.Errorf("%d functions run, and %d goroutines wait", running.Load(), n)
		}
		close(end)
		if n := kept(); n != maxIdle {
			t.Errorf("%d goroutines are kept, want %d", n, maxIdle)
		}
		meet := make(chan struct{})
		for range 20 {
			time.Sleep(idleFor / 5)
			w.run(func() { <-meet })
			w.run(func() { meet <- struct{}{} })
		}
		if n := kept(); n != 2 {
			t.Errorf("%d goroutines are kept for two functions at a time", n)
		}
		time.Sleep(2 * idleFor)
		if n := kept(); n != 0 {
			t.Errorf("%d goroutines are kept for nothing", n)
		}
		w.run(func() {})
	})
}
