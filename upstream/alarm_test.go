package upstream

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
	"weak"
)

// An alarm rings at its own time only, whatever its timer was used for before, and not once it is stopped.
func TestAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a alarms
		rung, start := map[int]time.Duration{}, time.Now()
		for i := range 100 {
			set := a.set(time.Second, func() { rung[i] = time.Since(start) })
			if i%2 == 0 {
				time.Sleep(time.Second / 2)
				set.stop()
				continue
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if want := time.Duration(i+1) / 2 * 3 * time.Second / 2; rung[i] != want {
				t.Errorf("alarm %d has rung at %v, want %v", i, rung[i], want)
			}
			set.stop()
		}
		if len(rung) != 50 {
			t.Errorf("%d alarms have rung, want 50", len(rung))
		}
	})
}

// A stopped alarm does not keep its request, although the runtime keeps its timer for a while.
func TestStoppedAlarmsKeepNothing(t *testing.T) {
	var a alarms
	request := &trip{}
	kept, set := weak.Make(request), a.set(time.Hour, func() { request.sent.Add(1) })
	set.stop()
	for range 3 {
		runtime.GC()
	}
	if kept.Value() != nil {
		t.Error("the request of a stopped alarm is kept")
	}
	runtime.KeepAlive(set)
}
