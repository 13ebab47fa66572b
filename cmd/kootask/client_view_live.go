package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// liveView shows the unfinished tasks at the bottom of a terminal, and keeps them up to date. Above them it prints each end
// once.
type liveView struct {
	painter painter
	size    func() (width, height int, ok bool)

	mu    sync.Mutex // Guards the fields below.
	tally tally
	all   []*liveRow // In the order of the ids.
	rows  map[string]*liveRow
	ended []ended // Ends that are not printed yet.

	stop     chan struct{} // Closed by close.
	painting sync.WaitGroup
}

// ended is the line about a task whose watch has ended.
type ended struct {
	line coloured
	outcome
}

// paintInterval is the time between two looks at the tasks and at the size of the terminal.
const paintInterval = 100 * time.Millisecond

// newLiveView returns a view that paints until it is closed.
func newLiveView(p painter, size func() (width, height int, ok bool), w *words, ids []string) *liveView {
	v := &liveView{painter: p, size: size, tally: newTally(w), rows: map[string]*liveRow{}, stop: make(chan struct{})}
	idWidth := 0
	for _, id := range ids {
		idWidth = max(idWidth, len(id))
	}
	for _, id := range ids {
		row := &liveRow{words: w, id: id, idWidth: idWidth, began: time.Now()}
		v.all, v.rows[id] = append(v.all, row), row
	}
	v.painting.Go(func() {
		tick := time.NewTicker(paintInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				v.paint()
			case <-v.stop:
				return
			}
		}
	})
	return v
}

func (v *liveView) task(t *taskv1.Task) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rows[t.GetTaskId()].take(t)
}

func (v *liveView) heartbeat(ids []string, h *taskv1.Heartbeat) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range ids {
		v.rows[id].heartbeat(h)
	}
}

func (v *liveView) resume(ids []string, r *kootask.Resume) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, id := range ids {
		v.rows[id].pause(r.Cause, r.After)
	}
}

func (v *liveView) dropped(id string, why *kootask.Error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rows[id].pause(why, why.RetryAfter)
}

func (v *liveView) end(e outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.tally.ends[e.code]++
	row := v.rows[e.id]
	v.ended = append(v.ended, ended{row.last(e), e})
	delete(v.rows, e.id)
	v.all = slices.DeleteFunc(v.all, func(r *liveRow) bool { return r == row })
}

// close leaves the ends and the summary on the screen.
func (v *liveView) close() {
	close(v.stop)
	v.painting.Wait()
	v.mu.Lock()
	v.ended = append(v.ended, ended{line: v.tally.summary()})
	v.all = nil
	v.mu.Unlock()
	v.paint()
}

// paint prints the new ends, and the tasks as they are now.
func (v *liveView) paint() {
	width, height, ok := v.size()
	if !ok || width <= 0 || height <= 0 {
		width, height = 80, 24 // The terminal is gone, or does not know its size any more.
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	var stay []coloured
	for i, e := range v.ended {
		// An error that ends all watches is explained once.
		if e.err != nil && e.code != exitInterrupted && (i+1 == len(v.ended) || !errors.Is(v.ended[i+1].err, e.err)) {
			e.line = append(e.line, in(plain, gap+e.why))
		}
		stay = append(stay, e.line.fold(width)...)
	}
	v.ended = nil
	v.painter.paint(stay, v.live(width, max(1, height-1)), width)
}

// live returns the lines about unfinished tasks, at most room of them. If there is no room for all tasks, it prefers those
// with a problem, then those that have changed last.
func (v *liveView) live(width, room int) []coloured {
	of := len(v.all) + v.ends()
	if of > 1 && len(v.all) > 0 {
		room-- // For the progress.
	}
	byUrgency := slices.Clone(v.all)
	slices.SortStableFunc(byUrgency, (*liveRow).compare)
	blocks, used := map[*liveRow][]coloured{}, 0
	for _, row := range byUrgency {
		block := row.lines(width)
		if used+len(block) > room {
			break
		}
		blocks[row], used = block, used+len(block)
	}
	var all []coloured
	for _, row := range v.all {
		all = append(all, blocks[row]...)
	}
	if of > 1 && len(v.all) > 0 {
		progress := v.tally.progress(of)
		if hidden := len(v.all) - len(blocks); hidden > 0 {
			progress = append(progress, in(plain, fmt.Sprintf(v.tally.words.More, hidden)))
		}
		all = append(all, progress.cut(width))
	}
	return all
}

// ends returns the number of tasks whose watch has ended.
func (v *liveView) ends() (n int) {
	for _, of := range v.tally.ends {
		n += of
	}
	return n
}
