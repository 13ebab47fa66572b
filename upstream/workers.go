package upstream

import (
	"context"
	"sync"
	"time"
)

const (
	// maxIdle is the maximum number of goroutines that wait for a function. A stack of net/http's client has 8 KiB.
	maxIdle = 64
	// idleFor is the interval of sweep. A goroutine that is not needed waits at most twice as long.
	idleFor = 250 * time.Millisecond
)

// workers run functions in goroutines that are kept for the next one, because the stack of a new goroutine has to grow.
// They end when they are not needed for a while.
type workers struct {
	next chan func()     // A nil function ends a goroutine. Never closed.
	life context.Context // Ends with close.
	end  context.CancelFunc

	mu    sync.Mutex
	idle  int         // The goroutines that wait for a function. Guarded by mu, as are the fields below.
	spare int         // The smallest value of idle since the last call of sweep: as many were not needed.
	timer *time.Timer // Calls sweep; nil while nothing waits.
}

func newWorkers() *workers {
	w := &workers{next: make(chan func())}
	w.life, w.end = context.WithCancel(context.Background())
	return w
}

// run calls f in a goroutine of its own. It does not block.
func (w *workers) run(f func()) {
	select {
	case w.next <- f:
	default:
		go w.work(f)
	}
}

// work calls f, and then the functions of later calls of run.
func (w *workers) work(f func()) {
	for f != nil {
		f()
		if !w.rest() {
			return
		}
		select {
		case f = <-w.next:
		case <-w.life.Done():
			f = nil
		}
		w.rise()
	}
}

// rest counts a goroutine that is going to wait. It reports false if enough others do.
func (w *workers) rest() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle == maxIdle {
		return false
	}
	w.idle++
	if w.timer == nil && w.life.Err() == nil {
		w.timer = time.AfterFunc(idleFor, w.sweep)
	}
	return true
}

// rise counts a goroutine that waits no longer.
func (w *workers) rise() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.idle--
	w.spare = min(w.spare, w.idle)
}

// sweep ends as many goroutines as were not needed since the last time.
func (w *workers) sweep() {
	w.mu.Lock()
	surplus := w.spare
	w.spare = w.idle
	w.timer = nil
	if w.idle > 0 && w.life.Err() == nil {
		w.timer = time.AfterFunc(idleFor, w.sweep)
	}
	w.mu.Unlock()
	for range surplus {
		select {
		case w.next <- nil:
		default: // It is needed now.
		}
	}
}

// close ends the goroutines that wait, and the others once they have run their function. It does not wait for them: a
// function may never return.
func (w *workers) close() {
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
}
