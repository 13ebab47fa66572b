package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// The calls of several streams come in any order. Otherwise their order counts.
func TestSettle(t *testing.T) {
	ids := func(n int) call {
		return call{request: &taskv1.WatchTasksRequest{TaskIds: []string{"1", "2", "3"}[:n]}}
	}
	three := []received{{Tasks: 3}, {Request: json.RawMessage(`{"taskIds": ["2", "1"]}`)}, {Tasks: 1}}
	for name, row := range map[string]struct {
		calls      []call
		any, order bool // Whether they are accepted in any order, and in order.
	}{
		"in order":   {[]call{ids(3), ids(2), ids(1)}, true, true},
		"in another": {[]call{ids(1), ids(3), ids(2)}, true, false},
		"one twice":  {[]call{ids(3), ids(2), ids(2)}, false, false},
		"one fewer":  {[]call{ids(3), ids(2)}, false, false},
		"one more":   {[]call{ids(3), ids(2), ids(1), ids(1)}, false, false},
		"one of one task": {
			[]call{ids(3), {request: &taskv1.WatchTaskRequest{TaskId: "1"}}, ids(1)}, false, false,
		},
	} {
		for anyOrder, accepted := range map[bool]bool{true: row.any, false: row.order} {
			w := &stub{calls: row.calls}
			if err := w.settle(t.Context(), scenario{Received: three, AnyOrder: anyOrder}); (err == nil) != accepted {
				t.Errorf("%s, in any order: %t: %v", name, anyOrder, err)
			}
		}
	}
	silent, end := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer end()
	if err := (&stub{open: 1}).settle(silent, scenario{Quiet: true}); err == nil {
		t.Error("a call may be left")
	}
	late := []received{{}, {After: &between{1, 2}}}
	for seconds, accepted := range map[int]bool{0: false, 1: true, 3: false} {
		first := time.Now()
		w := &stub{calls: []call{{at: first}, {at: first.Add(time.Duration(seconds) * time.Second)}}}
		if err := w.settle(t.Context(), scenario{Received: late}); (err == nil) != accepted {
			t.Errorf("%d s later: %v", seconds, err)
		}
	}
}
