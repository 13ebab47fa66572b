package kootask

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// Event is one of a watch. Exactly one field is set.
type Event struct {
	// Task is the task: first as it stands, then after each change.
	Task *taskv1.Task
	// Heartbeat says that nothing has changed, and how KooDrive does.
	Heartbeat *taskv1.Heartbeat
	// Resume says that the watch was interrupted and goes on by itself.
	Resume *Resume
}

// Resume is an interruption of a watch.
type Resume struct {
	// Cause is what ended the stream.
	Cause *Error
	// After is how long the watch waits before it begins anew.
	After time.Duration
}

const (
	// silence is after how long without a message a stream is broken: kootask sends one at least every 15 s.
	silence = 20 * time.Second
	// Between attempts to resume after a broken connection, each a fifth shorter or longer: kootask says nothing then.
	resumeMin, resumeMax, resumeGrowth = time.Second, 15 * time.Second, 1.6
	// firstAttempts is how many streams may break before kootask has answered: it may be something else that does.
	firstAttempts = 5
)

// Watch yields the task as it stands, and again after each change, until it is finished. None is handed out twice in a row,
// none is a step back, and one is the last. It resumes as [Client.Events] does.
func (c *Client) Watch(ctx context.Context, id string, options ...Option) iter.Seq2[*taskv1.Task, error] {
	return func(yield func(*taskv1.Task, error) bool) {
		for event, err := range c.Events(ctx, id, options...) {
			if (err != nil || event.Task != nil) && !yield(event.Task, err) {
				return
			}
		}
	}
}

// Events yields all that happens while a task is watched. The loop ends after the finished task, or with an [*Error],
// which comes last.
//
// The watch resumes, for as long as ctx and the Client last, if kootask asks to be called again, after the delay that it names, and if
// the connection breaks or falls silent. It ends on any other error; as long as the Client has had no answer of kootask's
// at all, it also ends if there is no connection, or the fifth one breaks.
//
// When the caller's token expires, which ends a stream with the reason CALLER_UNAUTHENTICATED, the watch resumes if
// [Config.CallerToken] has another one by then. It ends if there is none, and if a stream ends so before a message came.
func (c *Client) Events(ctx context.Context, id string, options ...Option) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		callCtx, o := c.begin(ctx, options)
		callCtx, leave := context.WithCancel(callCtx)
		defer leave()
		defer context.AfterFunc(c.closed, leave)()
		w := &watcher{
			client: c, yield: yield,
			request: &taskv1.WatchTaskRequest{TaskId: id, FailedTaskAsError: o.failedTaskAsError},
		}
		w.run(callCtx)
	}
}

// watcher is one watch, over all its streams.
type watcher struct {
	client  *Client
	request *taskv1.WatchTaskRequest
	yield   func(Event, error) bool

	last   *taskv1.Task // Handed out last.
	token  string       // The caller's own, of the last stream.
	opened bool         // There was a connection for a stream, once.
	empty  int          // Streams in succession that ended before a message came.
}

var (
	errLeft   = errors.New("the caller has left the loop")
	errSilent = status.Error(codes.Unavailable, "kootask has been silent for too long")
	errNoEnd  = status.Error(codes.Unavailable, "the stream ended before the task was finished")
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
		if w.last.GetDone() && cause.Reason == "" {
			// The failed task was handed out, and the error that was asked for did not come.
			cause = taskFailed(w.last)
		}
		delay, resumes := w.delay(cause)
		if ctx.Err() != nil || w.client.closed.Err() != nil || !resumes {
			w.yield(Event{}, cause)
			return
		}
		if !w.yield(Event{Resume: &Resume{Cause: cause, After: delay}}, nil) {
			return
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			w.yield(Event{}, toError(ctx, status.FromContextError(ctx.Err()).Err()))
			return
		}
	}
}

// taskFailed is the error of a task that has failed, as kootask makes it.
func taskFailed(task *taskv1.Task) *Error {
	return &Error{
		Code: codes.Aborted, Reason: taskv1.ErrorReason_TASK_FAILED.String(), Message: "The task has failed.",
		Metadata: map[string]string{"taskId": task.GetTaskId(), "resultCode": task.GetKoodriveResultCode()},
		status:   status.New(codes.Aborted, "The task has failed."),
	}
}

// stream follows one stream. It returns nil when the watch is over.
func (w *watcher) stream(ctx context.Context) error {
	var err error
	if w.token, err = w.client.token(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(identify(ctx, w.token))
	defer cancel(nil)

	stream, err := w.client.tasks.WatchTask(ctx, w.request) // May wait for its turn on a busy connection.
	w.opened = w.opened || err == nil || errors.Is(err, io.EOF)
	watchdog := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	for err == nil {
		var message *taskv1.WatchTaskResponse
		if message, err = stream.Recv(); err != nil {
			break
		}
		watchdog.Stop() // The caller may take its time.
		w.empty = 0
		w.client.met.Store(true)
		if !w.hand(message) {
			return errLeft
		}
		if w.finished() {
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

// hand yields a message, unless it holds what was handed out before or is older. It reports whether the caller stays.
func (w *watcher) hand(message *taskv1.WatchTaskResponse) bool {
	switch {
	case message.GetHeartbeat() != nil:
		return w.yield(Event{Heartbeat: message.GetHeartbeat()}, nil)
	case message.GetTask() != nil && w.isNews(message.GetTask()):
		w.last = message.GetTask()
		return w.yield(Event{Task: w.last}, nil)
	default:
		return true
	}
}

// isNews compares a task with the one that was handed out last: a new stream begins with the task as it stands, and may
// come from a server that has not seen as much as the one before.
func (w *watcher) isNews(task *taskv1.Task) bool {
	if w.last == nil {
		return true
	}
	if rank(task) < rank(w.last) {
		return false
	}
	last := proto.CloneOf(w.last)
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

// finished reports whether nothing more comes: after a failed task an error does, if it was asked for.
func (w *watcher) finished() bool {
	errorFollows := w.request.GetFailedTaskAsError() && w.last.GetStatus() == taskv1.TaskStatus_TASK_STATUS_FAILED
	return w.last.GetDone() && !errorFollows
}

// delay returns after how long to watch again, and whether to.
func (w *watcher) delay(cause *Error) (time.Duration, bool) {
	switch {
	case cause.Retry && w.empty < 2:
		return cause.RetryAfter, true
	case cause.Retry: // Again without a message: kootask may ask for no delay at all.
		return max(cause.RetryAfter, w.backoff()), true
	case cause.Has(taskv1.ErrorReason_CALLER_UNAUTHENTICATED) && w.empty == 0 && w.renewed():
		return w.backoff(), true // All watches with the token end at the same moment.
	case cause.Reason != "":
		return 0, false
	case !w.client.met.Load() && (!w.opened || w.empty >= firstAttempts):
		return 0, false
	}
	switch cause.Code {
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.Canceled: // The last one from a proxy: ctx has not ended.
		return w.backoff(), true
	default:
		return 0, false
	}
}

// backoff is how long to wait after a stream that broke, or brought nothing.
func (w *watcher) backoff() time.Duration {
	d := float64(resumeMin)
	for range w.empty {
		d = min(d*resumeGrowth, float64(resumeMax))
	}
	return time.Duration(d * (0.8 + 0.4*rand.Float64()))
}
