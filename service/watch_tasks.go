package service

import (
	"sync"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/quota"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// LastStates is how long a list that is stopped may still send the tasks that have ended, to a client that reads slowly.
const LastStates = 5 * time.Second

// MaxListed is the largest number of tasks of a WatchTasks call.
const MaxListed = ask.MaxTaskIDs

// WatchTasks implements TaskService. It sends the tasks and their changes until each has ended or the watch does; every
// error is a [*reason.Error]. Like WatchTask, it sends nothing itself: see [watcher].
func (s *Service) WatchTasks(
	req *taskv1.WatchTasksRequest, stream grpc.ServerStreamingServer[taskv1.WatchTasksResponse],
) (err error) {
	w := &listWatcher{stream: stream, silent: FirstMessage}
	w.init(stream.Context(), s, w)
	if err := w.begin(req.GetTaskIds()); err != nil {
		return err
	}
	err = errUnfinished
	defer func() { w.close(err) }()
	err = w.wait(w.silent)
	return err
}

// listWatcher watches the tasks of a list for WatchTasks.
type listWatcher struct {
	watcher
	stream grpc.ServerStreamingServer[taskv1.WatchTasksResponse]

	mu     sync.Mutex
	closed bool // Guarded by mu. A step whose message is stuck outlives the call, and must not change tasks any more.

	// Used by step only, once the watch has begun.
	tasks   []*listed     // Those that have not ended. One that ends gives its place to the last one. Changed with mu held.
	turn    int           // Index of the task that may send next.
	probe   *listed       // The task that KooDrive is asked for alone. Nil: there is none any more.
	opened  bool          // A message was sent.
	silent  time.Duration // When a heartbeat is due.
	ends    time.Duration // When the last states are no longer sent, once the watch was stopped. 0: it was not.
	delayed error         // The end of the last task that was dropped with a delay. Nil: none was.

	heard       time.Time // Time of the last answer to any of the tasks.
	first, last time.Time // Times of the first and the last rejection of the credential since then. Zero: there was none.
}

// listed is a task of a list.
type listed struct {
	question  *ask.Question
	begun     quota.Watch
	sub       *watch.Subscription[upstream.Task] // Nil until KooDrive is asked.
	asked     time.Duration                      // When KooDrive is to be asked, or asked again. 0: not.
	rejected  bool                               // KooDrive is asked again, because it has rejected the first poll.
	confirmed *watch.State[upstream.Task]        // The last state that confirmed the sent task. Nil: none.
}

// begin begins the watch of all tasks, or of none. If it fails, there is nothing to close.
func (w *listWatcher) begin(ids []string) (err error) {
	s := w.service
	defer func() {
		if err != nil {
			w.watcher.close()
		}
	}()
	questions, err := s.ask.Questions(w.who, ids)
	if err != nil {
		return err
	}
	if !s.watches.add(&w.watcher) {
		return errDraining
	}
	subjects := make([]quota.Subject, len(questions))
	for i := range questions {
		subjects[i] = questions[i].Subject()
	}
	begun, err := s.quota.Watch(subjects, func(i int) bool { return s.ask.Withheld(&questions[i]) })
	if err != nil {
		return err
	}
	tasks := make([]listed, len(questions)) // One allocation for all.
	for i := range tasks {
		tasks[i].question, tasks[i].begun = &questions[i], begun[i]
		w.tasks = append(w.tasks, &tasks[i])
	}
	s.metrics.watchers.Add(float64(len(w.tasks)))
	s.metrics.watchStreams.Inc()
	w.join()
	return nil
}

// close ends a watch that has begun, and counts the ends of the tasks that have not ended before.
func (w *listWatcher) close(err error) {
	w.watcher.close()
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	var subs []*watch.Subscription[upstream.Task]
	for _, t := range w.tasks {
		if t.sub != nil {
			subs = append(subs, t.sub)
		}
	}
	watch.Leave(subs...)
	for _, t := range w.tasks {
		w.service.metrics.ended(err)
		t.begun.Leave()
	}
	w.service.metrics.watchStreams.Dec()
}

// step implements [stepper]:
//  1. KooDrive is asked for the tasks whose time has come.
//  2. Rejections of the credential end the watch, whichever task they come to.
//  3. A heartbeat is sent when it is due, also on a busy stream.
//  4. Otherwise the next task in turn that has news is sent, or dropped. The watch ends with the last of them.
//  5. Otherwise the watch ends if its call, its time or the server does. Tasks that have ended are sent before that, within
//     LastStates: their last state must not be missed.
func (w *listWatcher) step(passed time.Duration) (due time.Duration, ended bool, err error) {
	w.askDue(passed)
	rejection, doubt := w.rejected()
	if rejection != nil {
		return 0, true, rejection
	}
	stopped := w.stopped(passed)
	if stopped == nil && passed >= w.silent {
		w.silent = passed + w.service.heartbeat
		w.sender.Wake() // The tasks' news comes next.
		return w.due(), false, w.send(heartbeatEvent(w.heartbeat()))
	}
	if stopped != nil && w.ends == 0 {
		w.ends = passed + LastStates
	}
	i, state, unseen := w.news(doubt, stopped != nil)
	switch {
	case stopped != nil && (state == nil || passed >= w.ends):
		return 0, true, stopped
	case state == nil && doubt: // An answer without a change does not wake the watch, but may end the doubt.
		return min(w.due(), passed+w.service.pollMin), false, nil
	case state == nil:
		return w.due(), false, nil
	}
	w.turn = i + 1
	w.sender.Wake() // Another task may have news.
	if unseen {
		return w.task(i, state)
	}
	return w.drop(i, state, passed)
}

// due returns when another step is due.
func (w *listWatcher) due() time.Duration {
	due := w.silent
	for _, t := range w.tasks {
		if t.asked > 0 {
			due = min(due, t.asked)
		}
	}
	return due
}

// news returns the next task in turn that has something to send, with its state; a nil state if there is none. unseen is
// set if that is the task, and not the end of its watch. In doubt, no task is shown; endsOnly selects those that have ended.
func (w *listWatcher) news(doubt, endsOnly bool) (i int, state *watch.State[upstream.Task], unseen bool) {
	for n := range w.tasks {
		i = (w.turn + n) % len(w.tasks)
		t := w.tasks[i]
		if t.sub == nil {
			continue
		}
		state, unseen = t.sub.Peek()
		if unseen && !doubt && (state.Ended || !endsOnly) || !unseen && state.Ended && t.asked == 0 {
			return i, state, unseen
		}
	}
	return 0, nil, false
}

// task sends the task of a place.
func (w *listWatcher) task(i int, state *watch.State[upstream.Task]) (due time.Duration, ended bool, err error) {
	t := w.tasks[i]
	t.sub.See(state)
	t.confirmed = state
	if err := w.sendNews(taskEvent(state)); err != nil {
		return 0, true, err
	}
	w.delivered(state)
	if state.Ended && state.Err == nil {
		return w.remove(i, nil)
	}
	return w.due(), false, nil
}

// dropped are the reasons that end the watch of one task. All others that end a watch end that of the whole list.
var dropped = map[taskv1.ErrorReason]bool{
	taskv1.ErrorReason_TASK_NOT_FOUND:              true,
	taskv1.ErrorReason_UPSTREAM_PERMISSION_DENIED:  true,
	taskv1.ErrorReason_REQUEST_INVALID:             true,
	taskv1.ErrorReason_UPSTREAM_CONTRACT_VIOLATION: true,
	taskv1.ErrorReason_UPSTREAM_BUSINESS_ERROR:     true,
	taskv1.ErrorReason_UPSTREAM_STALE:              true,
	taskv1.ErrorReason_SERVER_ERROR:                true,
}

// drop ends the watch of the task of a place, or that of the whole list. If only the first poll of a task is rejected,
// after answers to others, a single node of KooDrive's may be to blame: KooDrive is asked again.
func (w *listWatcher) drop(
	i int, state *watch.State[upstream.Task], passed time.Duration,
) (due time.Duration, ended bool, err error) {
	t, failure := w.tasks[i], reason.Of(endOf(state))
	if isRejection(failure) && state.Revision == 0 && !t.rejected {
		t.rejected, t.asked = true, passed+w.service.pollMin
		return w.due(), false, nil
	}
	if !dropped[failure.Outcome.Reason] {
		return 0, true, failure
	}
	event := droppedEvent(t.question.TaskID(), failure.Status(w.who.RequestID, w.who.Language))
	if err := w.sendNews(message.New(event)); err != nil {
		return 0, true, err
	}
	if event.GetDropped().GetRetryDelay() != nil {
		w.delayed = failure
	}
	return w.remove(i, failure)
}

// remove removes the task of a place, whose watch has ended. With the last one, the watch of the list ends.
func (w *listWatcher) remove(i int, end error) (due time.Duration, ended bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return 0, true, end
	}
	t, last := w.tasks[i], len(w.tasks)-1
	w.tasks[i] = w.tasks[last]
	w.tasks[last] = nil
	w.tasks = w.tasks[:last]
	if w.turn > i {
		w.turn = i
	}
	t.sub.Close()
	w.service.metrics.ended(end)
	t.begun.Leave()
	if last == 0 {
		return 0, true, w.delayed
	}
	return w.due(), false, nil
}

// heartbeat returns the heartbeat of all tasks that have not ended.
func (w *listWatcher) heartbeat() *taskv1.Heartbeat {
	beat := &taskv1.Heartbeat{}
	var oldest time.Time
	for _, t := range w.tasks {
		if t.sub == nil {
			continue
		}
		switch state, unseen := t.sub.Peek(); {
		case state.Err != nil:
			beat.FailingTaskIds = append(beat.FailingTaskIds, t.question.TaskID())
			if failures := int32(state.Failures); failures > beat.GetFailureCount() {
				beat.FailureCount, beat.FailureReason = failures, reason.Of(state.Err).Reason()
			}
			continue
		case t.confirmed == nil:
			continue
		case !unseen:
			t.sub.See(state)
			t.confirmed = state
		}
		if oldest.IsZero() || t.confirmed.At.Before(oldest) {
			oldest = t.confirmed.At
		}
	}
	if !oldest.IsZero() {
		beat.ObserveTime = toTime(oldest)
	}
	return beat
}

// sendNews sends the first news of the tasks in place of an early heartbeat.
func (w *listWatcher) sendNews(m *message.Message) error {
	if !w.opened {
		w.silent = w.service.heartbeat
	}
	return w.send(m)
}

// send queues one message. It blocks while there is no room in gRPC's buffer.
func (w *listWatcher) send(m *message.Message) error {
	w.opened = true
	return w.stream.SendMsg(m)
}
