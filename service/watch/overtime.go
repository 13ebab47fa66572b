package watch

import "time"

// Pause is the delay of a timer from which on the process must have been paused: stopped, or suspended with its
// machine.
const Pause = time.Second

// overtime lets a stale watch poll once more before it ends, if it was a pause of the process that kept it from polling
// in time. Like the core, it has no clock.
type overtime struct {
	due     time.Time // When the next poll is to begin. While one is in flight: when that one was to begin.
	asking  bool      // A poll is in flight.
	late    bool      // It began so late that the process must have been paused.
	decides bool      // If this poll fails, the watch ends.
	until   time.Time // The end of overtime. Zero: none.
}

// begin records that a poll begins. A poll that begins in overtime decides.
func (o *overtime) begin(now time.Time) {
	o.asking, o.late, o.decides = true, now.Sub(o.due) >= Pause, !o.until.IsZero()
}

// end records that a poll has ended, and when the next one is due.
func (o *overtime) end(due time.Time) { o.due, o.asking = due, false }

// grant reports whether a watch that is stale since a time gets, or still has, overtime: until the deciding poll ends,
// for at most the given time. The deciding poll is
//
//  1. the next one, if none is in flight and it is due;
//  2. the one in flight, if it began after a pause;
//  3. the next one, at once, if a pause held up the one in flight: its own timeout may have passed.
//
// Otherwise KooDrive was polled in time and has not answered.
func (o *overtime) grant(now, since time.Time, most time.Duration) bool {
	first := o.until.IsZero()
	switch {
	case now.Before(o.until):
		return true
	case !o.asking && !now.Before(o.due):
	case first && o.asking && o.late:
		o.decides = true
	case first && o.asking && now.Sub(since) >= Pause:
	default:
		return false
	}
	o.until = now.Add(most)
	return true
}
