package upstream

import (
	"sync"
	"time"
)

// alarms are timers that are used again. The runtime keeps a stopped timer, and all that its function refers to, until
// 25 % of a processor's timers have stopped. With 20,000 watched tasks, about 20,000 past attempts stayed in memory.
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
	if set, ok := a.stopped.Get().(*alarm); ok {
		set.ring = ring
		set.timer.Reset(d)
		return set
	}
	return a.add(d, ring)
}

func (a *alarms) add(d time.Duration, ring func()) *alarm {
	added := &alarm{alarms: a, ring: ring}
	added.timer = time.AfterFunc(d, func() { added.ring() })
	return added
}

// stop stops the alarm. Call it at most once: afterwards, the timer may have another function.
func (a *alarm) stop() {
	if a.timer.Stop() { // Otherwise the function has been called, or is about to be.
		a.ring = nil
		a.alarms.stopped.Put(a)
	}
}
