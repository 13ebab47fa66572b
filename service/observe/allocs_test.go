//go:build !race

package observe

import (
	"context"
	"testing"
	"time"
)

// A call that joins a request which has begun does not wait for that.
func TestAllocsOfAwaitBegin(t *testing.T) {
	f := &flight[int]{begun: make(chan struct{})}
	close(f.begun)
	var err error
	if n := testing.AllocsPerRun(100, func() { err = f.awaitBegin(t.Context(), time.Second) }); n > 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}

// Each poll of a task begins a request, and records the stages of that.
func TestAllocsOfARequest(t *testing.T) {
	o := New[string](Config[int]{Final: func(int) bool { return false }})
	defer o.Close()
	ask := func(ctx context.Context, begun func(), done func(int, error)) {
		for _, stage := range []Stage{Queued, Sent, Queued, Idle} {
			Enter(ctx, stage)
		}
		begun()
		done(1, nil)
	}
	then := func(Observation[int], error) {}
	n := testing.AllocsPerRun(1000, func() { o.Begin(t.Context(), "key", ask, then) })
	if most := 17.0; n > most {
		t.Errorf("%v allocations, want at most %v", n, most)
	}
}
