//go:build !race

package logging_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/kootask/kootask/cmd/kootask/logging"
)

// The line of a call is formatted without an allocation.
func TestAllocsOfLine(t *testing.T) {
	h, line := logging.JSON(io.Discard, slog.LevelInfo), callLine()
	if n := testing.AllocsPerRun(100, func() { _ = h.Handle(context.Background(), line) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
