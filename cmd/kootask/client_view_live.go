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

// liveView keeps a line for each task up to date, on a terminal.
type liveView struct {
	progress *mpb.Progress
	rows     map[string]*liveRow
}

// liveRow is one line.
type liveRow struct {
	id  string
	bar *mpb.Bar

	mu      sync.Mutex // Guards what follows: the terminal is drawn by a goroutine of its own.
	task    *taskv1.Task
	since   time.Time // When this state was first seen.
	age     age
	health  string
	resumes int
	waiting string // Why the watch is interrupted.
	ended   bool   // How was printed above.
}

// age tells how long ago KooDrive confirmed a task, by our clock: the server's may be another one. The difference is at
// most what the newest message shows, whatever it is.
type age struct {
	confirmed time.Time // By the server's clock.
	ahead     time.Duration
	known     bool
}

// learn takes a time of the server's that has just arrived.
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

func (v *liveView) event(id string, e kootask.Event) {
	row := v.rows[id]
	row.mu.Lock()
	defer row.mu.Unlock()
	switch {
	case e.Task != nil:
		if row.task == nil || row.task.GetStatus() != e.Task.GetStatus() {
			row.since = time.Now()
		}
		row.task = e.Task
		row.age.learn(e.Task.GetObserveTime().AsTime())
		row.health, row.waiting = "KooDrive is well", ""
	case e.Heartbeat != nil:
		if e.Heartbeat.GetObserveTime() != nil {
			row.age.learn(e.Heartbeat.GetObserveTime().AsTime())
		}
		row.health, row.waiting = health(e), ""
		if row.health == "" && row.task != nil {
			row.health = "KooDrive is well"
		}
	default:
		row.resumes++
		row.waiting = cause(e.Resume)
	}
}

// end prints how the watch ended above the live lines, in full, and ends its own.
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

// head is the id and the state.
func (r *liveRow) head() string {
	status := "waiting"
	if r.task != nil {
		status = statusName(r.task)
	}
	return fmt.Sprintf("%s  %-15s", r.id, status)
}

// draw is the line as it is now.
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

// seconds is a duration for people.
func seconds(d time.Duration) time.Duration { return max(d, 0).Truncate(time.Second) }
