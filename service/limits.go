package service

import (
	"strconv"
	"sync"

	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// limits bounds how many tasks are watched: by whoever has one credential, and in all. Watchers of one task with one
// credential are not counted: they cost KooDrive nothing.
type limits struct {
	perCredential, inAll int
	metrics              *metrics

	mu      sync.Mutex
	tasks   int                                   // Watched in all. Guarded by mu, as is the next.
	callers map[upstream.Key]map[upstream.Key]int // The watchers of each task, by caller. Never empty inside.
}

func newLimits(perCredential, inAll int, metrics *metrics) *limits {
	return &limits{
		perCredential: perCredential, inAll: inAll, metrics: metrics, callers: map[upstream.Key]map[upstream.Key]int{},
	}
}

// enter counts a watch of a task, given the keys of the caller and of the poll, or says which limit is reached. Who has
// entered must leave.
func (l *limits) enter(caller, key upstream.Key) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	tasks := l.callers[caller]
	if tasks[key] == 0 {
		switch {
		case len(tasks) >= l.perCredential:
			return l.metrics.callerLimit(limitPerCredential, l.perCredential)
		case l.tasks >= l.inAll:
			l.metrics.limited(limitInAll)
			return &reason.Error{Outcome: reason.FacadeOverloaded}
		}
		l.tasks++
	}
	if tasks == nil {
		tasks = map[upstream.Key]int{}
		l.callers[caller] = tasks
	}
	tasks[key]++
	return nil
}

// leave ends a watch.
func (l *limits) leave(caller, key upstream.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tasks := l.callers[caller]
	if tasks[key]--; tasks[key] > 0 {
		return
	}
	l.tasks--
	delete(tasks, key)
	if len(tasks) == 0 {
		delete(l.callers, caller)
	}
}

// callerLimit counts a call that meets a limit of its caller's, and is the call's error.
func (m *metrics) callerLimit(flag string, value int) *reason.Error {
	m.limited(flag)
	return &reason.Error{Outcome: reason.CallerLimitReached, Metadata: map[string]string{
		"limitName": flag, "limitValue": strconv.Itoa(value),
	}}
}
