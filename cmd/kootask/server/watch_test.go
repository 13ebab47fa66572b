package server_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// steps is a script of one answer each.
func steps(statuses ...int64) (steps []koodrivetest.Step) {
	for _, s := range statuses {
		steps = append(steps, koodrivetest.Step{Status: s})
	}
	return steps
}

func TestEverySurfaceSeesTheScript(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(0, 0, 1, 2)})
		var all sync.WaitGroup
		for _, surface := range surfaces {
			all.Go(func() {
				var got []string
				for _, e := range s.watch(t.Context(), t, surface, taskID) {
					name := e.name
					if name == "task" {
						name = e.status(t)
					}
					if e.id != "" {
						name += " id:" + e.id
					}
					got = append(got, name)
				}
				want := []string{"TASK_STATUS_NEW", "TASK_STATUS_EXECUTING", "TASK_STATUS_SUCCESS", "end"}
				if surface == sse {
					want[2] += " id:end"
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s saw %q, want %q", surface, got, want)
				}
			})
		}
		all.Wait()
		if n := s.koodrive.Count(); n != 4 {
			t.Errorf("KooDrive was asked %d times", n)
		}
	})
}
