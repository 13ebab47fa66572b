//go:build !race

package jsonline_test

import (
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kootask/kootask/internal/jsonline"
)

// The line of a task is one allocation.
func TestAllocsOfLine(t *testing.T) {
	task, form := finished(), protojson.MarshalOptions{EmitDefaultValues: true}
	if n := testing.AllocsPerRun(100, func() { _, _ = jsonline.Marshal(form, task) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
