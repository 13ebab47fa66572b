package kootask

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// silence is the time without a message after which a stream is taken to be broken. kootask sends one at least every 15 s.
const silence = 20 * time.Second

// watcher watches tasks until each has come to its end, with one stream after another.
type watcher struct {
	client *Client
	open   source
	yield  func(Event, error) bool
	// failedTaskAsError is set if an error follows a failed task. Such a watch has a single task.
	failedTaskAsError bool

	tasks  []*watched // Those that have not come to their end.
	token  string     // The caller's token of the last stream.
	opened bool       // At least one stream had a connection.
	empty  int        // Consecutive streams without a message.
}

// watched is a task that is watched.
type watched struct {
	id    string
	last  *taskv1.Task // The last state yielded. Nil: none.
	drops int          // Times that it was dropped since its last message with a task.
	due   time.Time    // When it is to be watched again, if it was dropped with a delay.
}

var (
	errLeft   = errors.New("the caller has left the loop")
	errSilent = status.Error(codes.Unavailable, "kootask has been silent for too long")
	errNoEnd  = status.Error(codes.Unavailable, "the stream ended before every task had ended")
)

func (w *watcher) run(ctx context.Context) {
	for {
		w.empty++
		err := w.stream(ctx)
		if err == nil || errors.Is(err, errLeft) {
			return
		}
		cause := toError(ctx, err)
		w.client.met.CompareAndSwap(false, cause.Reason != "")
		if w.failedTaskAsError && w.tasks[0].last.GetDone() && cause.Reason == "" {
			// The failed task was yielded, and the stream broke before the requested error came.
			cause = taskFailed(w.tasks[0].last)
		}
		delay, resumes := w.delay(cause)
		if ctx.Err() != nil || w.client.closed.Err() != nil || !resumes {
			w.yield(Event{}, cause)
			return
		}
		if !w.yield(Event{Resume: &Resume{Cause: cause, After: delay}, TaskIDs: w.ids()}, nil) {
			return
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			w.yield(Event{}, ended(ctx))
			return
		}
	}
}

// ended returns the error of a watch whose context has ended.
func ended(ctx context.Context) *Error {
	return toError(ctx, status.FromContextError(ctx.Err()).Err())
}

// taskFailed returns the error that kootask sends for a failed task.
func taskFailed(task *taskv1.Task) *Error {
	return &Error{
		Code: codes.Aborted, Reason: taskv1.ErrorReason_TASK_FAILED.String(), Message: "The task has failed.",
		Metadata: map[string]string{"taskId": task.GetTaskId(), "resultCode": task.GetKoodriveResultCode()},
		status:   status.New(codes.Aborted, "The task has failed."),
	}
}

// stream follows one stream. It returns nil when each task has come to its end.
func (w *watcher) stream(ctx context.Context) error {
	var err error
	if w.token, err = w.client.token(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(identify(ctx, w.token))
	defer cancel(nil)

	receive, err := w.open(ctx, w.ids())
	w.opened = w.opened || err == nil || errors.Is(err, io.EOF)
	watchdog := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	for err == nil {
		var id string
		var event Event
		if id, event, err = receive(); err != nil {
			break
		}
		watchdog.Stop() // The caller may take its time.
		w.empty = 0
		w.client.met.Store(true)
		if !w.hand(id, event) {
			return errLeft
		}
		if len(w.tasks) == 0 {
			return nil
		}
		watchdog.Reset(silence)
	}
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		return errSilent
	case errors.Is(err, io.EOF):
		return errNoEnd
	default:
		return err
	}
}

// ids returns the ids of the tasks that have not come to their end.
func (w *watcher) ids() []string {
	ids := make([]string, len(w.tasks))
	for i, t := range w.tasks {
		ids[i] = t.id
	}
	return ids
}

// hand yields an event, unless it is not news. It reports whether the caller continues the loop.
func (w *watcher) hand(id string, event Event) bool {
	if event.Heartbeat != nil {
		event.TaskIDs = w.ids()
		return w.yield(event, nil)
	}
	i := slices.IndexFunc(w.tasks, func(t *watched) bool { return t.id == id })
	if i < 0 || !w.tasks[i].take(event) {
		return true
	}
	errorFollows := w.failedTaskAsError && event.Task.GetStatus() == taskv1.TaskStatus_TASK_STATUS_FAILED
	if event.Dropped != nil || event.Task.GetDone() && !errorFollows {
		w.tasks = slices.Delete(w.tasks, i, i+1)
	}
	return w.yield(event, nil)
}

// take notes an event of the task, and reports whether it is news.
func (t *watched) take(event Event) bool {
	switch {
	case event.Dropped != nil:
		t.drops++
		return true
	case event.Task == nil: // It is newer than the contract.
		return false
	}
	t.drops = 0
	if !t.isNews(event.Task) {
		return false
	}
	t.last = event.Task
	return true
}

// isNews reports whether a task is newer than the last one. A new stream begins with the current task, and may come
// from a server that has seen less than the previous one.
func (t *watched) isNews(task *taskv1.Task) bool {
	if t.last == nil {
		return true
	}
	if t.last.GetDone() || rank(task) < rank(t.last) {
		return false
	}
	last := proto.CloneOf(t.last)
	last.ObserveTime = task.GetObserveTime()
	return !proto.Equal(last, task)
}

func rank(task *taskv1.Task) int {
	switch {
	case task.GetDone():
		return 2
	case task.GetStatus() == taskv1.TaskStatus_TASK_STATUS_NEW:
		return 0
	default:
		return 1
	}
}
