package watch

import (
	"errors"
	"testing"
	"time"
)

var errStale = errors.New("stale")

// run is a watch in virtual time, as the hub drives it. While its process is paused, no timer fires.
type run struct {
	core      *core[value]
	from, to  time.Duration // The pause.
	staleTurn bool          // Of two overdue timers, the one for staleness fires first.
	// poll returns the fate of a poll that begins at a time: how long it takes, and whether it is answered. It must not
	// take zero.
	poll func(begin time.Duration) (takes time.Duration, answered bool)

	start        time.Time
	stale, begin time.Duration // When the timers are due.
	end          time.Duration // Of the poll in flight; 0 without one.
	ok           bool          // It will be answered.
	after        int           // Polls that have begun since the pause.
}

const staleAfter = 5 * time.Minute

// until returns when the watch has ended, 0 if it has not by then.
func (r *run) until(limit time.Duration) time.Duration {
	r.core = newCore()
	r.core.config.StaleAfter = staleAfter
	r.core.config.Stale = func(last error) error { return errors.Join(errStale, last) }
	r.start = time.Unix(0, 0)
	r.core.heard, r.stale = r.start, staleAfter
	r.core.overtime.end(r.start)
	for {
		next, isStale := r.begin, false
		if r.end > 0 {
			next = r.end
		}
		next = r.woken(next)
		if at := r.woken(r.stale); at < next || at == next && r.staleTurn {
			next, isStale = at, true
		}
		if next > limit {
			return 0
		}
		now := r.start.Add(next)
		switch {
		case isStale:
			wait := r.core.stale(now).wait
			r.stale = next + wait
		case r.end == 0:
			if r.core.overtime.begin(now); r.to > 0 && next >= r.to {
				r.after++
			}
			takes, ok := r.poll(next)
			r.end, r.ok = next+takes, ok
			continue
		default:
			r.ended(next)
		}
		if r.core.state.Ended {
			return next
		}
	}
}

// woken returns when a due timer fires: not during the pause.
func (r *run) woken(due time.Duration) time.Duration {
	if due >= r.from && due < r.to {
		return r.to
	}
	return due
}

// ended handles the end of a poll.
func (r *run) ended(at time.Duration) {
	var wait time.Duration
	if now := r.start.Add(at); r.ok {
		r.core.ended(now, nil)
		wait = r.core.answered(Answer[value]{Value: 10, At: now}).wait
	} else {
		r.core.ended(now, errPassing)
		wait = r.core.failed(errPassing, judged(errPassing)).wait
	}
	r.end, r.begin = 0, at+wait
	r.core.overtime.end(r.start.Add(r.begin))
}

// After a pause of the process that is longer than a watch may be stale, the watch polls once before it ends. So it does if the
// pause ends shortly before that time. Without a pause, it ends in time.
func TestPausedWatchesPollOnceBeforeTheyEnd(t *testing.T) {
	const ms = time.Millisecond
	well := func(time.Duration) (time.Duration, bool) { return 100 * ms, true }
	since := func(since, takes time.Duration) func(time.Duration) (time.Duration, bool) { // KooDrive is down from then on.
		return func(begin time.Duration) (time.Duration, bool) {
			if begin < since {
				return 100 * ms, true
			}
			return takes, false
		}
	}
	// spanning is a poll that is in flight when the pause begins, after 10 minutes. Its time is over when the pause ends.
	spanning := func(next func(time.Duration) (time.Duration, bool)) func(time.Duration) (time.Duration, bool) {
		return func(begin time.Duration) (time.Duration, bool) {
			if begin < 10*time.Minute && begin+16*time.Second > 10*time.Minute {
				return 10*time.Minute + 10*time.Second - begin, false
			}
			return next(begin)
		}
	}
	for name, row := range map[string]struct {
		from, to time.Duration
		poll     func(time.Duration) (time.Duration, bool)
		ends     time.Duration // 0: never.
		after    int           // Polls after the pause, if it ends.
	}{
		"no pause":                           {0, 0, well, 0, 0},
		"no pause, KooDrive hangs":           {0, 0, since(0, time.Hour), staleAfter, 0},
		"a pause":                            {10 * time.Minute, 30 * time.Minute, well, 0, 0},
		"a pause, and KooDrive is slow":      {10 * time.Minute, 30 * time.Minute, func(time.Duration) (time.Duration, bool) { return 9 * time.Second, true }, 0, 0},
		"a pause, and KooDrive fails":        {10 * time.Minute, 30 * time.Minute, since(10*time.Minute, 100*ms), 30*time.Minute + 100*ms, 1},
		"a pause, and KooDrive times out":    {10 * time.Minute, 30 * time.Minute, since(10*time.Minute, 10*time.Second), 30*time.Minute + 10*time.Second, 1},
		"a pause, and the poll does not end": {10 * time.Minute, 30 * time.Minute, since(10*time.Minute, time.Hour), 35 * time.Minute, 1},
		"a poll is held up":                  {10 * time.Minute, 30 * time.Minute, spanning(well), 0, 0},
		"a poll is held up, the next fails":  {10 * time.Minute, 30 * time.Minute, spanning(since(10*time.Minute, 100*ms)), 30*time.Minute + 100*ms, 1},
		"it ends when the time is nearly over": {10 * time.Minute, 14*time.Minute + 59*time.Second, func(time.Duration) (time.Duration, bool) {
			return 9 * time.Second, true
		}, 0, 0},
		"KooDrive had failed before, and the next poll was not due": {
			14*time.Minute + 50*time.Second, 15*time.Minute + 5*time.Second, since(10*time.Minute, 100*ms), 15*time.Minute + 5*time.Second, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, staleTurn := range []bool{false, true} {
				r := run{from: row.from, to: row.to, poll: row.poll, staleTurn: staleTurn}
				got := r.until(2 * time.Hour)
				if got != row.ends || got > 0 && (r.after != row.after || !errors.Is(r.core.state.Err, errStale)) {
					t.Errorf("staleness first: %v: it ends after %v, %d polls and with %v, want %v and %d", staleTurn, got, r.after, r.core.state.Err, row.ends, row.after)
				}
			}
		})
	}
}
