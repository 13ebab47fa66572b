package main

import (
	"fmt"
	"io"
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

	mu        sync.Mutex // Guards what follows: the terminal is drawn by a goroutine of its own.
	task      *taskv1.Task
	since     time.Time // When this state was first seen.
	confirmed time.Time // When KooDrive last confirmed it, by the server's clock.
	health    string
	resumes   int
	waiting   string // Why the watch is interrupted.
	ended     string
}

func newLiveView(out io.Writer, ids []string) *liveView {
	v := &liveView{progress: mpb.New(mpb.WithOutput(out), mpb.WithAutoRefresh()), rows: map[string]*liveRow{}}
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
		row.task, row.confirmed = e.Task, e.Task.GetObserveTime().AsTime()
		row.health, row.waiting = "", ""
	case e.Heartbeat != nil:
		if e.Heartbeat.GetObserveTime() != nil {
			row.confirmed = e.Heartbeat.GetObserveTime().AsTime()
		}
		row.health, row.waiting = health(e), ""
	default:
		row.resumes++
		row.waiting = cause(e.Resume)
	}
}

func (v *liveView) end(id string, err error, why string) {
	row := v.rows[id]
	row.mu.Lock()
	row.ended = "finished"
	if err != nil {
		row.ended = why
	}
	row.mu.Unlock()
	row.bar.SetTotal(1, true)
}

func (v *liveView) close() { v.progress.Wait() }

// draw is the line as it is now.
func (r *liveRow) draw(decor.Statistics) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	status := "waiting"
	if r.task != nil {
		status = statusName(r.task)
	}
	line := fmt.Sprintf("%s  %-15s", r.id, status)
	if r.ended != "" {
		return line + "  " + r.ended
	}
	line += fmt.Sprintf("  for %s", seconds(time.Since(r.since)))
	if r.task != nil {
		line += fmt.Sprintf("  confirmed %s ago", seconds(time.Since(r.confirmed)))
	}
	switch {
	case r.waiting != "":
		line += "  interrupted: " + r.waiting
	case r.health != "":
		line += "  " + r.health
	default:
		line += "  KooDrive is well"
	}
	if r.resumes > 0 {
		line += fmt.Sprintf("  resumed %d×", r.resumes)
	}
	return line
}

// seconds is a duration for people; the server's clock may be ahead of ours, so it is never negative.
func seconds(d time.Duration) time.Duration { return max(d, 0).Truncate(time.Second) }
