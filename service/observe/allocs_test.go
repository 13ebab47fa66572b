//go:build !race

package observe_test

import (
	"context"
	"testing"

	"github.com/kootask/kootask/service/observe"
)

// Each poll of a task begins a request, and records the stages of that.
func TestAllocsOfARequest(t *testing.T) {
	o := observe.New[string](observe.Config[int]{Final: func(int) bool { return false }})
	defer o.Close()
	ask := func(ctx context.Context, begun func(), done func(int, error)) {
		for _, stage := range []observe.Stage{observe.Queued, observe.Sent, observe.Queued, observe.Idle} {
			observe.Enter(ctx, stage)
		}
		begun()
		done(1, nil)
	}
	then := func(observe.Observation[int], error) {}
	n := testing.AllocsPerRun(1000, func() { o.Begin(t.Context(), "key", ask, then) })
	if most := 17.0; n > most {
		t.Errorf("%v allocations, want at most %v", n, most)
	}
}
