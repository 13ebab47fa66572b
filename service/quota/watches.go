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

// enter counts the watches of a list: of tasks of one caller, none of them twice. At a limit it counts none of them and
// returns the limit's name. Each counted watch must leave.
func (w *watches) enter(list []Subject) (limit string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	caller := list[0].Caller
	tasks, added := w.callers[caller], 0
	for _, s := range list {
		if tasks[s.Key].watchers == 0 {
			added++
		}
	}
	switch {
	case len(tasks)+added > w.perCredential:
		return limitPerCredential
	case w.tasks+added > w.inAll:
		return limitInAll
	}
	if tasks == nil {
		tasks = map[upstream.Key]watched{}
		w.callers[caller] = tasks
	}
	for _, s := range list {
		task := tasks[s.Key]
		task.watchers++
		tasks[s.Key] = task
	}
	w.tasks += added
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
