package watch

import "time"

// Pause is how late a timer is when it was the process that did not run: it was stopped, or its machine was suspended.
const Pause = time.Second

// overtime lets a watch poll once more before it ends as stale, if KooDrive was not asked in time because the process was paused.
// Like the core, it has no clock.
type overtime struct {
	due     time.Time // When the next poll is to begin; while one is in flight, when that was.
	asking  bool      // A poll is in flight.
	late    bool      // It began so late that the process must have been paused.
	decides bool      // If it fails, the watch ends.
	until   time.Time // Until when the watch goes on, though it is stale; zero if it is not, or ends so.
}

// begin notes that a poll begins. One that begins in overtime decides.
func (o *overtime) begin(now time.Time) {
	o.asking, o.late, o.decides = true, now.Sub(o.due) >= Pause, !o.until.IsZero()
}

// end notes that a poll has ended, and when the next one is due.
func (o *overtime) end(due time.Time) { o.due, o.asking = due, false }

// grant reports whether a watch that has been stale since a time goes on, until the poll that decides has ended, or for as long
// as most. That poll is
//
//  1. the next one if none is in flight and it is due,
//  2. the one in flight if it began after a pause,
//  3. the next one, at once, if the one in flight was held up by a pause: its own time may be over.
//
// Otherwise KooDrive was asked in time and has not answered.
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
