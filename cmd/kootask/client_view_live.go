package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// liveView shows one line for each task on a terminal, and keeps it up to date.
type liveView struct {
	progress *mpb.Progress
	rows     map[string]*liveRow
}

// liveRow is the line of one task.
type liveRow struct {
	id  string
	bar *mpb.Bar

	mu      sync.Mutex // Guards the fields below: mpb draws on its own goroutine.
	task    *taskv1.Task
	since   time.Time // Time at which this state was first seen.
	age     age
	health  string
	resumes int
	waiting string // Cause of the interruption.
	ended   bool   // The end was printed above the live lines.
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

func newLiveView(out *checkedWriter, ids []string) *liveView {
	v := &liveView{progress: mpb.New(mpb.WithOutput(out.to), mpb.WithAutoRefresh()), rows: map[string]*liveRow{}}
	for _, id := range ids {
		row := &liveRow{id: id, since: time.Now()}
		row.bar = v.progress.New(1, mpb.NopStyle(), mpb.PrependDecorators(decor.Any(row.draw)))
		v.rows[id] = row
	}
	return v
}

func (v *liveView) task(t *taskv1.Task) {
	row := v.rows[t.GetTaskId()]
	row.mu.Lock()
	defer row.mu.Unlock()
	if row.task == nil || row.task.GetStatus() != t.GetStatus() {
		row.since = time.Now()
	}
	row.task = t
	row.age.learn(t.GetObserveTime().AsTime())
	row.health, row.waiting = "KooDrive answers", ""
}

func (v *liveView) heartbeat(ids []string, h *taskv1.Heartbeat) {
	for _, id := range ids {
		v.rows[id].heartbeat(h)
	}
}

func (r *liveRow) heartbeat(h *taskv1.Heartbeat) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The time is that of the stream's oldest confirmation.
	if confirmed := h.GetObserveTime(); confirmed != nil && !confirmed.AsTime().Before(r.age.confirmed) && !fails(r.id, h) {
		r.age.learn(confirmed.AsTime())
	}
	r.health, r.waiting = health(r.id, h), ""
	if r.health == "" && r.task != nil {
		r.health = "KooDrive answers"
	}
}

func (v *liveView) resume(ids []string, r *kootask.Resume) {
	for _, id := range ids {
		v.dropped(id, r.Cause)
	}
}

func (v *liveView) dropped(id string, why *kootask.Error) {
	row := v.rows[id]
	row.mu.Lock()
	defer row.mu.Unlock()
	row.resumes++
	row.waiting = cause(why)
}

// end prints the full end of the watch above the live lines, and removes its own line.
func (v *liveView) end(id string, err error, why string) {
	row := v.rows[id]
	row.mu.Lock()
	line := row.head()
	row.ended = true
	row.mu.Unlock()
	if err != nil {
		line += "  " + why
	}
	_, _ = fmt.Fprintln(v.progress, printable(line))
	row.bar.Abort(true)
	row.bar.Wait()
}

func (v *liveView) close() { v.progress.Wait() }

// head returns the id and the status.
func (r *liveRow) head() string {
	status := "waiting"
	if r.task != nil {
		status = statusName(r.task)
	}
	return fmt.Sprintf("%s  %-15s", r.id, status)
}

// draw returns the current line.
func (r *liveRow) draw(decor.Statistics) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return ""
	}
	line := r.head() + fmt.Sprintf("  for %s", seconds(time.Since(r.since)))
	if r.age.known {
		line += fmt.Sprintf("  confirmed %s ago", r.age.now())
	}
	switch {
	case r.waiting != "":
		line += "  interrupted: " + r.waiting
	case r.health != "":
		line += "  " + r.health
	}
	if r.resumes > 0 {
		line += fmt.Sprintf("  resumed %d×", r.resumes)
	}
	return printable(line)
}

// seconds returns a duration for people.
func seconds(d time.Duration) time.Duration { return max(d, 0).Truncate(time.Second) }
