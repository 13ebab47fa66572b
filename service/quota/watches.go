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
	tasks   int                                       // Watched tasks in all. Guarded by mu.
	callers map[upstream.Key]map[upstream.Key]watched // Watched tasks, by caller; no inner map is empty. Guarded by mu.
}

// watched is a task with watchers.
type watched struct {
	watchers int
	passed   bool // KooDrive may be asked for it: one of its watches has passed all limits.
}

// enter counts a watch, given the keys of the caller and of the poll. At a limit it counts nothing and returns the
// limit's name. Each counted watch must leave.
func (w *watches) enter(caller, key upstream.Key) (limit string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tasks := w.callers[caller]
	task := tasks[key]
	switch {
	case task.watchers > 0:
	case len(tasks) >= w.perCredential:
		return limitPerCredential
	case w.tasks >= w.inAll:
		return limitInAll
	default:
		w.tasks++
	}
	if tasks == nil {
		tasks = map[upstream.Key]watched{}
		w.callers[caller] = tasks
	}
	task.watchers++
	tasks[key] = task
	return ""
}

// leave ends a watch.
func (w *watches) leave(caller, key upstream.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tasks := w.callers[caller]
	task := tasks[key]
	if task.watchers--; task.watchers > 0 {
		tasks[key] = task
		return
	}
	w.tasks--
	delete(tasks, key)
	if len(tasks) == 0 {
		delete(w.callers, caller)
	}
}

// pass marks the task of a watch that has passed all limits.
func (w *watches) pass(caller, key upstream.Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	task := w.callers[caller][key]
	task.passed = true
	w.callers[caller][key] = task
}

// passed reports whether a watch of the task has passed all limits.
func (w *watches) passed(caller, key upstream.Key) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.callers[caller][key].passed
}
