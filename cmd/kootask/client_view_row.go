package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// liveRow is a task in a liveView, which guards it.
type liveRow struct {
	words   *words
	id      string
	idWidth int       // Of the longest id.
	began   time.Time // Begin of the watch.

	task    *taskv1.Task // Nil: not known yet.
	steps   []step
	changed time.Time // Time of the last news: a state, a problem or its end.
	age     age
	failing *taskv1.Heartbeat // Set while KooDrive fails to answer.
	cause   *kootask.Error    // Cause of an interruption. Nil: none.
	due     time.Time         // Time at which the watch resumes.
}

// step is a state that the watch has seen.
type step struct {
	colour colour
	name   string
	since  time.Time
}

// age estimates the time since KooDrive confirmed a task, by the local clock. The server's clock may differ, but at most
// by the smallest age that a confirmation had on arrival.
type age struct {
	confirmed time.Time // By the server's clock.
	ahead     time.Duration
	known     bool
}

// learn records a confirmation, by the server's clock, that has just arrived.
func (a *age) learn(confirmed time.Time) {
	if ahead := time.Since(confirmed); !a.known || ahead < a.ahead {
		a.ahead = ahead
	}
	a.confirmed, a.known = confirmed, true
}

func (a *age) now() time.Duration { return seconds(time.Since(a.confirmed) - a.ahead) }

// take notes a state.
func (r *liveRow) take(t *taskv1.Task) {
	if r.task == nil || r.task.GetStatus() != t.GetStatus() || r.task.GetKoodriveStatus() != t.GetKoodriveStatus() {
		r.steps = append(r.steps, step{colourOf(t), r.words.state(t), time.Now()})
	}
	r.task, r.changed = t, time.Now()
	r.age.learn(t.GetObserveTime().AsTime())
	r.failing, r.cause = nil, nil
}

func (r *liveRow) heartbeat(h *taskv1.Heartbeat) {
	// The time is that of the stream's oldest confirmation.
	failing := fails(r.id, h)
	if confirmed := h.GetObserveTime(); confirmed != nil && !confirmed.AsTime().Before(r.age.confirmed) && !failing {
		r.age.learn(confirmed.AsTime())
	}
	if failing != (r.failing != nil) || r.cause != nil {
		r.changed = time.Now()
	}
	r.failing, r.cause = nil, nil
	if failing {
		r.failing = h
	}
}

// pause notes that the watch is interrupted.
func (r *liveRow) pause(why *kootask.Error, after time.Duration) {
	r.cause, r.due, r.changed = why, time.Now().Add(after), time.Now()
}

// compare orders rows by urgency: those with a problem first, then those that have changed last.
func (r *liveRow) compare(other *liveRow) int {
	troubled := func(r *liveRow) int {
		if r.cause != nil || r.failing != nil {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(troubled(r), troubled(other)), other.changed.Compare(r.changed))
}

// states returns the states, each with its time. The last one lasts until a moment.
func (r *liveRow) states(steps []step, until time.Time) coloured {
	var all coloured
	for i, s := range steps {
		end := until
		if i+1 < len(steps) {
			end = steps[i+1].since
		}
		if i > 0 {
			all = append(all, in(plain, r.words.Comma))
		}
		all = append(all, in(s.colour, s.name), in(plain, " "+seconds(end.Sub(s.since)).String()))
	}
	return all
}

// now returns at most the last n states, with the times until now.
func (r *liveRow) now(n int) coloured {
	steps := r.steps
	if len(steps) == 0 {
		steps = []step{{plain, r.words.Waiting, r.began}}
	}
	return r.states(steps[max(0, len(steps)-n):], time.Now())
}

// head returns the id, as wide as the longest.
func (r *liveRow) head() coloured { return coloured{in(plain, r.id)}.pad(r.idWidth + len(gap)) }

const (
	gap       = "  " // Between columns.
	endWidth  = 15   // Of the column with the final state: FAILED and a result code.
	allStates = math.MaxInt
)

// last returns the line that stays on the screen after the end, without the explanation of an error.
func (r *liveRow) last(e outcome) coloured {
	switch {
	case e.err == nil:
		final := r.steps[len(r.steps)-1]
		state := coloured{in(final.colour, final.name)}.pad(endWidth + len(gap))
		return append(append(r.head(), state...), r.states(r.steps[:len(r.steps)-1], final.since)...)
	case e.code == exitInterrupted:
		return append(append(r.head(), r.now(allStates)...), in(plain, gap), in(yellow, r.words.Ends[e.code]))
	default:
		return append(r.head(), in(red, r.words.Ends[e.code]))
	}
}

// bar returns the progress from NEW through EXECUTING to the end.
func (r *liveRow) bar() coloured {
	full, shown := "", plain
	if r.task != nil {
		full, shown = "====>", colourOf(r.task)
		if r.task.GetStatus() == taskv1.TaskStatus_TASK_STATUS_NEW {
			full = "=>"
		}
	}
	return append(coloured{in(plain, "["), in(shown, full)}.pad(9), in(plain, "]"+gap))
}

// note is the last column of a row: a text, or a short one if there is no room, and a tail. Only the short text may be cut.
type note struct {
	colour            colour
	text, short, tail string
}

// minNote is the width of a short text that may not be cut while the note can have a line of its own.
const minNote = 24

func (r *liveRow) note() note {
	switch {
	case r.cause != nil:
		return note{yellow, r.words.cause(r.cause), r.words.brief(r.cause), r.words.Comma + r.words.again(time.Until(r.due))}
	case r.failing != nil:
		return note{yellow, r.words.failing(r.failing), r.failing.GetFailureReason(), r.words.Comma + r.words.polls(r.failing)}
	default:
		return note{}
	}
}

// lines returns the row, each line at most as wide as the terminal. A problem that does not fit beside the state stands on a
// second line.
func (r *liveRow) lines(width int) []coloured {
	forms := []coloured{
		append(append(r.head(), r.bar()...), r.now(allStates).pad(22)...),
		append(append(r.head(), r.bar()...), r.now(1).pad(13)...),
		append(r.head(), r.now(1)...),
	}
	n := r.note()
	if n.text == "" {
		return []coloured{r.healthy(forms, width)}
	}
	tail := cells.StringWidth(n.tail)
	with := func(left coloured) coloured {
		room, text := max(0, width-left.width()-tail), coloured{in(n.colour, n.text)}
		if text.width() > room {
			text = coloured{in(n.colour, n.short)}.cut(room)
		}
		return append(append(left, text...), in(n.colour, n.tail)).cut(width)
	}
	for _, least := range []int{cells.StringWidth(n.text), min(cells.StringWidth(n.short), minNote)} {
		for _, form := range forms {
			if form.width()+len(gap)+least+tail <= width {
				return []coloured{with(append(form, in(plain, gap)))}
			}
		}
	}
	return []coloured{widest(forms, width), with(coloured{in(plain, gap)})}
}

// healthy returns a row without a problem: with the age of its state, if there is room.
func (r *liveRow) healthy(forms []coloured, width int) coloured {
	if r.age.known {
		confirmed := in(dim, gap+fmt.Sprintf(r.words.Confirmed, r.age.now()))
		for _, form := range forms {
			if full := slices.Concat(form, coloured{confirmed}); full.width() <= width {
				return full
			}
		}
	}
	return widest(forms, width)
}

// widest returns the first form that fits, or the last one cut.
func widest(forms []coloured, width int) coloured {
	for _, form := range forms {
		if form.width() <= width {
			return form
		}
	}
	return forms[len(forms)-1].cut(width)
}
