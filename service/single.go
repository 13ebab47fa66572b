package service

import (
	"github.com/kootask/kootask/service/quota"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// single is a call that watches one task.
type single struct {
	watcher
	begun quota.Watch
	sub   *watch.Subscription[upstream.Task]
}

// begin begins the watch. If it fails, there is nothing to close. Its frame is not part of the stack on which the watch
// waits.
func (w *single) begin(taskID string) (err error) {
	s := w.service
	defer func() {
		if err != nil {
			w.watcher.close()
		}
	}()
	q, err := s.ask.Question(w.who, taskID)
	if err != nil {
		return err
	}
	if !s.watches.add(&w.watcher) {
		return errDraining
	}
	begun, err := s.quota.Watch([]quota.Subject{q.Subject()}, func(int) bool { return s.ask.Withheld(q) })
	if err != nil {
		return err
	}
	w.begun = begun[0]
	w.sub = s.hub.Subscribe(q.Key(), s.poll(q, w.begun.Wait), w.sender)
	s.metrics.watchers.Inc()
	return nil
}

// close ends a watch that has begun, and counts its end.
func (w *single) close(err error) {
	watch.Leave(w.sub)
	w.leave(err)
}

// leave counts the end of a watch that has left its task.
func (w *single) leave(err error) {
	w.watcher.close()
	w.service.metrics.ended(err)
	w.begun.Leave()
}

// verdict reports to the quota that KooDrive has answered, or failed, the first poll.
func (w *single) verdict(state *watch.State[upstream.Task]) {
	if state.Revision > 0 || state.Err != nil {
		w.begun.Answered()
	}
}
