package service

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// LifetimeSpread is the largest share by which a watch's lifetime is randomly shortened or lengthened.
const LifetimeSpread = 0.2

// errLifetime ends a watch at its lifetime, and errExpired one whose caller's authentication has expired.
var (
	errLifetime = &reason.Error{Outcome: reason.WatchLifetimeReached}
	errExpired  = &reason.Error{Outcome: reason.CallerTokenExpired}
)

// WatchTask implements TaskService. It sends the task and its changes until the watch ends; every error is a
// [*reason.Error]. Senders send the messages, while the call's own goroutine sleeps: see [watcher].
func (s *Service) WatchTask(
	req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse],
) (err error) {
	w := &taskWatcher{stream: stream, taskID: req.GetTaskId(), silent: FirstMessage, failedAsError: req.GetFailedTaskAsError()}
	w.init(stream.Context(), s, w)
	if err := w.begin(w.taskID); err != nil {
		return err
	}
	s.metrics.watchStreams.Inc()
	err = errUnfinished
	defer func() {
		w.close(err)
		s.metrics.watchStreams.Dec()
	}()
	err = w.wait(w.silent)
	return err
}

// taskWatcher watches a task for WatchTask.
type taskWatcher struct {
	single
	stream        grpc.ServerStreamingServer[taskv1.WatchTaskResponse]
	taskID        string
	failedAsError bool // A FAILED task ends the watch with TASK_FAILED.

	// Used by step only.
	opened    bool                        // A message was sent.
	confirmed *watch.State[upstream.Task] // The last state that confirmed the sent task. Nil: none.
	silent    time.Duration               // When a heartbeat is due.
}

// step implements [stepper]:
//  1. A task that was not sent yet is sent first, whatever has happened: the last state must not be missed.
//  2. Otherwise the watch ends if its task, its call, its time or the server does, or if its first poll failed.
//  3. Otherwise, after a silence, it sends a heartbeat.
func (w *taskWatcher) step(passed time.Duration) (due time.Duration, ended bool, err error) {
	state, unseen := w.sub.Next()
	w.verdict(state)
	stopped := w.stopped(passed)
	switch {
	case unseen:
		err = w.task(state)
	case state.Ended:
		return 0, true, w.end(state)
	case stopped != nil:
		return 0, true, stopped
	case state.Err != nil && state.Revision == 0 && !w.opened: // The first poll's error is the call's.
		return 0, true, reason.Of(state.Err)
	case passed >= w.silent:
		err = w.heartbeat(state)
	default:
		return w.silent, false, nil
	}
	switch {
	case err != nil:
		return 0, true, err
	case state.Ended:
		return 0, true, w.end(state)
	case stopped != nil:
		return 0, true, stopped
	}
	w.silent = passed + w.service.heartbeat
	return w.silent, false, nil
}

func (w *taskWatcher) task(state *watch.State[upstream.Task]) error {
	w.confirmed = state
	err := w.send(taskEvent(state))
	if err == nil {
		w.delivered(state)
	}
	return err
}

// heartbeat sends the time of the last confirmation and the failures since. The task of state may be newer than the one
// sent: it came while the client did not read, and is in doubt now. It must not confirm the older one.
func (w *taskWatcher) heartbeat(state *watch.State[upstream.Task]) error {
	switch {
	case w.confirmed == nil:
		return w.send(heartbeatEvent(heartbeatOf(w.taskID, state, time.Time{})))
	case w.sub.Seen() != state.Revision:
		return w.send(heartbeatEvent(heartbeatOf(w.taskID, state, w.confirmed.At)))
	}
	w.confirmed = state
	return w.send(confirmingHeartbeat(w.taskID, state))
}

// end returns the end of the watch, given its last state.
func (w *taskWatcher) end(state *watch.State[upstream.Task]) error {
	if err := endOf(state); err != nil {
		return err
	}
	return w.service.failedTask(state.Value, w.failedAsError)
}

// send queues one message. It blocks while there is no room in gRPC's buffer.
func (w *taskWatcher) send(m *message.Message) error {
	w.opened = true
	return w.stream.SendMsg(m)
}

// end returns when a watch ends at the latest, and its error then: at its lifetime, when the caller's authentication
// expires, or deadlineMargin before the call's deadline.
func (s *Service) end(ctx context.Context, who *caller.Caller) (at time.Time, err error) {
	lifetime := time.Duration(float64(s.lifetime) * (1 - LifetimeSpread + 2*LifetimeSpread*rand.Float64()))
	at, err = time.Now().Add(lifetime), errLifetime
	if !who.Expires.IsZero() && who.Expires.Before(at) {
		at, err = who.Expires, errExpired
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Add(-deadlineMargin).Before(at) {
		at, err = deadline.Add(-deadlineMargin), context.DeadlineExceeded
	}
	return at, err
}

// poll returns the hub's poll function for a task; its first call begins with a wait.
func (s *Service) poll(q *ask.Question, wait time.Duration) watch.Poll[upstream.Task] {
	poll := s.ask.Poll(q, wait)
	return func(ctx context.Context, known bool, done func(watch.Answer[upstream.Task], error)) {
		poll(ctx, known, func(answer ask.Answer, err error) {
			done(watch.Answer[upstream.Task]{Value: answer.Value, At: answer.Answered}, err)
		})
	}
}

// judge says how the hub treats the error of a poll.
func (s *Service) judge(err error) watch.Verdict {
	e := reason.Of(err)
	wait := e.RetryAfter
	if e.Outcome == reason.UpstreamRateLimited && wait == 0 {
		wait = upstream.RatePause
	}
	if e.Outcome.Tolerance() != reason.Unlimited {
		s.metrics.strikes.WithLabelValues(e.Outcome.Name).Inc()
	}
	return watch.Verdict{Kind: e.Outcome.Name, Tolerance: e.Outcome.Tolerance(), Wait: wait}
}

// stale returns the error of a stale watch, with the status and code of KooDrive's last failure.
func stale(last error) error {
	e := &reason.Error{Outcome: reason.UpstreamStale, Cause: last}
	if last != nil {
		known := reason.Of(last)
		e.UpstreamStatus, e.UpstreamCode = known.UpstreamStatus, known.UpstreamCode
	}
	return e
}
