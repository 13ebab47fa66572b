package service

import (
	"context"
	"time"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

const (
	// DefaultWait is the wait of a call that sets no timeout: less than the 29 and 30 s of the strictest proxies.
	DefaultWait = 25 * time.Second
	// MaxWait is the longest wait: less than the 60 s of most proxies.
	MaxWait = 55 * time.Second
	// WaitMargin is how long before the call's own deadline a wait is over, at most: by waitShare of the time left.
	WaitMargin = time.Second
	waitShare  = 10
)

// WaitTask implements TaskService. It is a watch of one task without messages: it blocks until the task is finished or
// the wait is over. Every error is a [*reason.Error].
func (s *Service) WaitTask(ctx context.Context, req *taskv1.WaitTaskRequest) (_ *taskv1.WaitTaskResponse, err error) {
	over, err := waitOf(ctx, req)
	if err != nil {
		return nil, err
	}
	w := &waiter{over: over}
	w.init(ctx, s, w)
	if err := w.begin(req.GetTaskId()); err != nil {
		return nil, err
	}
	err = errUnfinished
	defer func() {
		if err != nil {
			w.close(err)
			return
		}
		// The client is about to wait again. Cancelling the poll in flight would waste it: the next wait would poll again.
		w.sub.Linger()
		w.leave(nil)
	}()
	if err = w.wait(GetTimeout); err != nil {
		return nil, err
	}
	if err = w.service.failedTask(w.last.Value, req.GetFailedTaskAsError()); err != nil {
		return nil, err
	}
	return &taskv1.WaitTaskResponse{Task: toTask(w.last.Value, w.last.At)}, nil
}

// waitOf returns the duration of a call's wait.
func waitOf(ctx context.Context, req *taskv1.WaitTaskRequest) (time.Duration, error) {
	wait := DefaultWait
	if req.GetTimeout() != nil {
		if req.GetTimeout().CheckValid() != nil {
			return 0, reason.Invalid(reason.TimeoutInvalid, "timeout", reason.Malformed, "Must be a duration, such as 2.5s.")
		}
		if wait = req.GetTimeout().AsDuration(); wait < 0 {
			return 0, reason.Invalid(reason.TimeoutInvalid, "timeout", reason.OutOfRange, "Must not be negative.")
		}
	}
	wait = min(wait, MaxWait)
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		wait = min(wait, left-max(min(left/waitShare, WaitMargin), deadlineMargin))
	}
	return wait, nil
}

// waiter waits for a task for WaitTask.
type waiter struct {
	single
	over time.Duration // When the wait is over, counted as until.

	// Used by step only, and after the end.
	last *watch.State[upstream.Task] // The state at the last step: the answer, if there is one.
}

// step implements [stepper]:
//  1. A task that has ended is the answer, whatever has happened. Once the wait is over, so is a task that is known, unless
//     it is in doubt.
//  2. Otherwise the wait ends if its call, its time or the server does, or if its first poll failed.
//  3. Before KooDrive's first answer the wait is not over, but it is no longer than a call of GetTask.
func (w *waiter) step(passed time.Duration) (due time.Duration, ended bool, err error) {
	state := w.sub.State()
	w.verdict(state)
	w.last = state
	stopped, known := w.stopped(passed), state.Revision > 0
	switch {
	case state.Ended:
		return 0, true, endOf(state)
	case known && passed >= w.over && state.Doubted:
		return 0, true, endBy(state.Doubt, state)
	case known && passed >= w.over:
		return 0, true, nil
	case stopped != nil:
		return 0, true, stopped
	case known:
		return w.over, false, nil
	case state.Err != nil:
		return 0, true, reason.Of(state.Err)
	case passed >= GetTimeout:
		return 0, true, errGetTimeout
	default:
		return GetTimeout, false, nil
	}
}
