//go:build !race

package observe

import (
	"testing"
	"time"
)

// A call that joins a request which has begun does not wait for that.
func TestAllocsOfBegins(t *testing.T) {
	f := &flight[int]{begun: make(chan struct{})}
	close(f.begun)
	var err error
	if n := testing.AllocsPerRun(100, func() { err = f.begins(t.Context(), time.Second) }); n > 0 || err != nil {
		t.Errorf("%v allocations, %v", n, err)
	}
}
