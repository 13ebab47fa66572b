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

// Event is an event of a watch. Exactly one field is set.
type Event struct {
	// Task is the task as it is now, then after each change.
	Task *taskv1.Task
	// Heartbeat reports that no change is known, and whether KooDrive answers.
	Heartbeat *taskv1.Heartbeat
	// Resume reports that the watch was interrupted and will resume by itself.
	Resume *Resume
}

// Resume is an interruption of a watch.
type Resume struct {
	// Cause is the error that ended the stream.
	Cause *Error
	// After is the time until the watch resumes.
	After time.Duration
}

const (
	// silence is the time without a message after which a stream is taken to be broken. kootask sends one at least
	// every 15 s.
	silence = 20 * time.Second
	// Delays between attempts to resume after a broken connection, for which kootask cannot set a delay. Jittered by
	// ±20 %.
	resumeMin, resumeMax, resumeGrowth = time.Second, 15 * time.Second, 1.6
	// firstAttempts is the number of streams that may break before kootask has answered. Until then, the address may be
	// wrong.
	firstAttempts = 5
)

// Watch yields the task as it is now, then again after each change, until it is finished. It never yields a state twice
// in a row or an older state, and yields the finished task last. It resumes and ends like [Client.Events].
func (c *Client) Watch(ctx context.Context, id string, options ...Option) iter.Seq2[*taskv1.Task, error] {
	return func(yield func(*taskv1.Task, error) bool) {
		for event, err := range c.Events(ctx, id, options...) {
			if (err != nil || event.Task != nil) && !yield(event.Task, err) {
				return
			}
		}
	}
}

// Events yields every event of a watch. The sequence ends after the finished task, or with an [*Error], which comes
// last.
//
// Until ctx or the Client ends, the watch resumes in two cases: after an error with Retry, when RetryAfter has passed;
// and when the connection breaks or is silent for 20 s. It ends on any other error. Until kootask has answered the
// Client once, it also ends if no connection can be made, or when the fifth stream breaks.
//
// When the caller's token expires, the stream ends with the reason CALLER_UNAUTHENTICATED. The watch then resumes if
// [Config.CallerToken] returns a new token, unless the stream ended before its first message.
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

// watcher is a watch with all its streams.
type watcher struct {
	client  *Client
	request *taskv1.WatchTaskRequest
	yield   func(Event, error) bool

	last   *taskv1.Task // The last task yielded.
	token  string       // The caller's token of the last stream.
	opened bool         // At least one stream had a connection.
	empty  int          // Consecutive streams without a message.
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
			// The failed task was yielded, and the stream broke before the requested error came.
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

// taskFailed returns the error that kootask sends for a failed task.
func taskFailed(task *taskv1.Task) *Error {
	return &Error{
		Code: codes.Aborted, Reason: taskv1.ErrorReason_TASK_FAILED.String(), Message: "The task has failed.",
		Metadata: map[string]string{"taskId": task.GetTaskId(), "resultCode": task.GetKoodriveResultCode()},
		status:   status.New(codes.Aborted, "The task has failed."),
	}
}

// stream follows one stream. It returns nil when the task is finished.
func (w *watcher) stream(ctx context.Context) error {
	var err error
	if w.token, err = w.client.token(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(identify(ctx, w.token))
	defer cancel(nil)

	stream, err := w.client.tasks.WatchTask(ctx, w.request) // May block on a busy connection.
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

// hand yields a message, unless it is a task that is not new. It reports whether the caller continues the loop.
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

// isNews reports whether a task is newer than the last one. A new stream begins with the current task, and may come
// from a server that has seen less than the previous one.
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

// finished reports whether the watch is complete. If requested, the error of a failed task still follows.
func (w *watcher) finished() bool {
	errorFollows := w.request.GetFailedTaskAsError() && w.last.GetStatus() == taskv1.TaskStatus_TASK_STATUS_FAILED
	return w.last.GetDone() && !errorFollows
}

// delay returns the time until the watch resumes, and whether it does.
func (w *watcher) delay(cause *Error) (time.Duration, bool) {
	switch {
	case cause.Retry && w.empty < 2:
		return cause.RetryAfter, true
	case cause.Retry: // A second stream without a message: RetryAfter may be 0.
		return max(cause.RetryAfter, w.backoff()), true
	case cause.Has(taskv1.ErrorReason_CALLER_UNAUTHENTICATED) && w.empty == 0 && w.renewed():
		return w.backoff(), true // All watches with the token end at the same moment.
	case cause.Reason != "":
		return 0, false
	case !w.client.met.Load() && (!w.opened || w.empty >= firstAttempts):
		return 0, false
	}
	switch cause.Code {
	// ctx has not ended, so Canceled comes from a proxy.
	case codes.Unavailable, codes.Internal, codes.Unknown, codes.Canceled:
		return w.backoff(), true
	default:
		return 0, false
	}
}

// backoff returns the delay after a stream that broke or had no message.
func (w *watcher) backoff() time.Duration {
	d := float64(resumeMin)
	for range w.empty {
		d = min(d*resumeGrowth, float64(resumeMax))
	}
	return time.Duration(d * (0.8 + 0.4*rand.Float64()))
}
