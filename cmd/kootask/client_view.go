package main

import (
	"fmt"
	"slices"
	"time"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// view shows the events of the watched tasks.
type view interface {
	// task is called for each state of a task.
	task(t *taskv1.Task)
	// heartbeat and resume are about all the tasks of a stream.
	heartbeat(ids []string, h *taskv1.Heartbeat)
	resume(ids []string, r *kootask.Resume)
	// dropped is called for a task that is watched again after a delay.
	dropped(id string, why *kootask.Error)
	// end is called at the end of a task's watch.
	end(e outcome)
	// close is called when all watches have ended.
	close()
}

// outcome is the end of a task's watch.
type outcome struct {
	id   string
	code int    // Exit code for this task alone.
	err  error  // Nil if the task is finished.
	why  string // Explanation of err.
}

// fails reports whether KooDrive fails to answer for a task, by a heartbeat of its stream. Older servers do not name the
// failing tasks.
func fails(id string, h *taskv1.Heartbeat) bool {
	return h.GetFailureCount() > 0 && (len(h.GetFailingTaskIds()) == 0 || slices.Contains(h.GetFailingTaskIds(), id))
}

// tally counts the ends of watches by exit code.
type tally struct {
	words *words
	began time.Time
	ends  map[int]int
}

func newTally(w *words) tally { return tally{words: w, began: time.Now(), ends: map[int]int{}} }

// summary describes all ends, with the time that they took.
func (t *tally) summary() coloured {
	var text coloured
	for _, p := range t.totals(exitOK, exitFailed, exitNotFound, exitRefused, exitError, exitInterrupted) {
		text = append(text, p, in(plain, t.words.Comma))
	}
	return append(text, in(plain, seconds(time.Since(t.began)).String()))
}

// progress describes the ends so far, of a number of tasks.
func (t *tally) progress(of int) coloured {
	text := coloured{in(plain, fmt.Sprintf(t.words.Finished, t.ends[exitOK]+t.ends[exitFailed], of))}
	for _, p := range t.totals(exitFailed, exitNotFound, exitRefused, exitError) {
		text = append(text, in(plain, t.words.Comma), p)
	}
	return text
}

// totals returns the number of ends with each of the codes that has any.
func (t *tally) totals(codes ...int) (all []piece) {
	for _, code := range codes {
		if n := t.ends[code]; n > 0 {
			all = append(all, in(colourOfEnd(code), fmt.Sprintf(t.words.Totals[code], n)))
		}
	}
	return all
}

// seconds returns a duration for people.
func seconds(d time.Duration) time.Duration { return max(d, 0).Truncate(time.Second) }
