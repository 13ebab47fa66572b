package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kootask/kootask/upstream"
)

// Tasks that new callers at one address begin to watch, in two waves, all have their first answers as fast as the ceiling of
// requests allows. After that, they are polled again.
func TestTasksOpenedAtOnceAreAnsweredFirst(t *testing.T) {
	t.Parallel()
	const callers, each = 20, 30
	bubble(t, nil, func(t *testing.T, s *system) {
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		start := time.Now()
		fair := callers * each * time.Second / upstream.DefaultPerSecond
		for wave := range 2 {
			for i := range callers {
				s.watchAll(ctx, t, &all, fmt.Sprint("caller-", i), fmt.Sprint("t-", wave, "-", i, "-"), each/2)
			}
			time.Sleep(fair / 3)
		}
		time.Sleep(3 * fair)
		leave()
		all.Wait()
		var last time.Duration
		seen := map[string]int{}
		for _, r := range s.koodrive.Requests() {
			if seen[r.TaskID]++; seen[r.TaskID] == 1 {
				last = r.Received.Sub(start)
			}
		}
		if len(seen) != callers*each || last > fair*11/10 {
			t.Errorf("%d tasks are requested, the last one after %v, where %v would do", len(seen), last, fair)
		}
		for id, n := range seen {
			if n < 2 {
				t.Errorf("task %s is not polled again", id)
			}
		}
	})
}
