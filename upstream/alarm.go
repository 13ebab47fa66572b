package upstream

import (
	"sync"
	"time"
)

// alarms are timers that are used again. The runtime keeps a stopped timer for a while, until a quarter of all timers has
// stopped, and all that its function refers to. With several timers for each watched task, that would be past requests in
// their tens of thousands.
//
// Its zero value is ready. It is safe for concurrent use.
type alarms struct{ stopped sync.Pool }

// alarm is a timer whose function changes.
type alarm struct {
	alarms *alarms
	timer  *time.Timer
	ring   func() // Changed only while the timer is stopped.
}

// set calls ring in a goroutine of its own after d, unless the alarm is stopped first.
func (a *alarms) set(d time.Duration, ring func()) *alarm {
	set, ok := a.stopped.Get().(*alarm)
	if ok {
		set.ring = ring
		set.timer.Reset(d)
		return set
	}
	set = &alarm{alarms: a, ring: ring}
	set.timer = time.AfterFunc(d, func() { set.ring() })
	return set
}

// stop stops the alarm. Call it at most once: afterwards, the timer may have another function.
func (a *alarm) stop() {
	if a.timer.Stop() { // Otherwise the function has been called, or is about to be.
		a.ring = nil
		a.alarms.stopped.Put(a)
	}
}
