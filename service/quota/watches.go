package quota

import (
	"sync"

	"github.com/kootask/kootask/upstream"
)

// watches limits the watched tasks, per credential and in all. Watchers of one task with one credential count once:
// they cost KooDrive nothing more.
type watches struct {
	perCredential, inAll int

	mu      sync.Mutex
	tasks   int                                   // Watched tasks in all. Guarded by mu.
	callers map[upstream.Key]map[upstream.Key]int // Watchers of each task, by caller; no inner map is empty. Guarded by mu.
}

// enter counts a watch, given the keys of the caller and of the poll, and reports whether it is the task's first. At a
// limit it counts nothing and returns the limit's name. Each counted watch must leave.
func (w *watches) enter(caller, key upstream.Key) (first bool, limit string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tasks := w.callers[caller]
	first = tasks[key] == 0
	switch {
	case first && len(tasks) >= w.perCredential:
		return true, limitPerCredential
	case first && w.tasks >= w.inAll:
		return true, limitInAll
	case first:
		w.tasks++
	}
	if tasks == nil {
		tasks = map[upstream.Key]int{}
		w.callers[caller] = tasks
	}
	tasks[key]++
	return first, ""
}

// leave ends a watch.
func (w *watches) leave(caller, key upstream.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tasks := w.callers[caller]
	if tasks[key]--; tasks[key] > 0 {
		return
	}
	w.tasks--
	delete(tasks, key)
	if len(tasks) == 0 {
		delete(w.callers, caller)
	}
}

// watched reports whether a task is watched.
func (w *watches) watched(caller, key upstream.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.callers[caller][key] > 0
}
