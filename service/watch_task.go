package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/panics"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// FirstMessage is how long a watch waits for KooDrive's first answer before a heartbeat opens the stream. Until then,
// an error is returned without opening the stream.
const FirstMessage = 2 * time.Second

// SendTimeout is how long a send may block before its watch ends. gRPC buffers 64 KiB beyond the client's window before
// a send blocks, and does not show handlers the unsent bytes: a watch that sends less is not noticed, and lasts its
// lifetime.
const SendTimeout = 30 * time.Second

// LifetimeSpread is the largest share by which a watch's lifetime is randomly shortened or lengthened.
const LifetimeSpread = 0.2

// errLifetime ends a watch at its lifetime, and errExpired one whose caller's authentication has expired.
var (
	errLifetime = &reason.Error{Outcome: reason.WatchLifetimeReached}
	errExpired  = &reason.Error{Outcome: reason.CallerTokenExpired}
)

// WatchTask implements TaskService. It sends the task and its changes until the watch ends; every error is a
// [*reason.Error].
func (s *Service) WatchTask(
	req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse],
) (err error) {
	lifetime := time.Duration(float64(s.lifetime) * (1 - LifetimeSpread + 2*LifetimeSpread*rand.Float64()))
	who, _ := caller.FromContext(stream.Context())
	end := errLifetime
	if left := time.Until(who.Expires); !who.Expires.IsZero() && left < lifetime {
		lifetime, end = left, errExpired
	}
	ctx, cancel := within(stream.Context(), lifetime, end)
	defer cancel()
	q, err := s.ask.Question(who, req.GetTaskId())
	if err != nil {
		return err
	}
	select {
	case <-s.draining:
		return errDraining
	default:
	}
	begun, err := s.quota.Watch(q.Subject(), func() bool { return s.ask.Withheld(q) })
	if err != nil {
		return err
	}
	defer begun.Leave()

	err = errUnfinished
	ended := s.metrics.watched()
	defer func() { ended(err) }()
	wake := make(chan struct{}, 1)
	sub := s.hub.Subscribe(q.Key(), s.poll(q, begun.Wait), wake)
	defer sub.Close()
	w := &watcher{service: s, stream: stream, sub: sub, wake: wake, who: who, since: time.Now(), answered: begun.Answered}
	err = w.follow(ctx, req)
	return err
}

// poll returns the hub's poll function for a task; its first call begins with a wait.
func (s *Service) poll(q ask.Question, wait time.Duration) watch.Poll[upstream.Task] {
	poll := s.ask.Poll(q, wait)
	return func(ctx context.Context) (watch.Answer[upstream.Task], error) {
		answer, err := poll(ctx)
		return watch.Answer[upstream.Task]{Value: answer.Value, At: answer.Answered}, err
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

// errUnfinished is counted as the end of a watch that panics.
var errUnfinished = errors.New("the watch has not ended")

// follow sends the states of the subscription until the watch ends. After each event:
//  1. The caller must still be allowed to watch.
//  2. A task that was not sent yet is sent first, whatever the event: the last state must not be missed.
//  3. Otherwise the watch ends if its task, its context or the server does, or if its first poll failed.
//  4. Otherwise, after a silence, it sends a heartbeat.
func (w *watcher) follow(ctx context.Context, req taskRequest) (err error) {
	silence := time.NewTimer(FirstMessage)
	defer silence.Stop()
	draining, moment := w.service.draining, (<-chan time.Time)(nil)
	for {
		silent, drained := false, false
		select {
		case <-ctx.Done():
		case <-w.wake:
		case <-silence.C:
			silent = true
		case <-draining:
			draining, moment = nil, time.After(rand.N(w.service.spread+1))
			continue
		case <-moment:
			drained = true
		}
		// Checked before each message, so at least once per heartbeat.
		if err := w.who.Still(); err != nil {
			return err
		}
		state, unseen := w.sub.Next()
		if state.Revision > 0 || state.Err != nil {
			w.answered()
		}
		switch {
		case unseen:
			err = w.task(state)
		case state.Ended:
			return w.end(state, req)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case drained:
			return errDraining
		case state.Err != nil && state.Revision == 0 && !w.opened: // The first poll's error is the call's.
			return reason.Of(state.Err)
		case silent:
			err = w.heartbeat(state)
		default:
			continue
		}
		if err != nil {
			return err
		}
		switch {
		case state.Ended:
			return w.end(state, req)
		case drained:
			return errDraining
		}
		silence.Reset(w.service.heartbeat)
	}
}

// watcher sends one watch to its client.
type watcher struct {
	service   *Service
	stream    grpc.ServerStreamingServer[taskv1.WatchTaskResponse]
	sub       *watch.Subscription[upstream.Task]
	wake      <-chan struct{} // From sub.
	who       caller.Caller
	since     time.Time
	opened    bool      // A message was sent.
	confirmed time.Time // When KooDrive last confirmed the task that was sent last. Zero before the first.
	// answered reports to the quota that KooDrive has answered, or failed, the first poll.
	answered func()
}

func (w *watcher) task(state watch.State[upstream.Task]) error {
	w.confirmed = state.At
	err := w.send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: toTask(state.Value, state.At)}})
	if err == nil && state.Since.After(w.since) {
		w.service.metrics.changeDelivery.Observe(time.Since(state.Since).Seconds())
	}
	return err
}

// heartbeat sends the time of the last confirmation and the failures since. The task of state may be newer than the one
// sent: it came while the client did not read, and is in doubt now. It must not confirm the older one.
func (w *watcher) heartbeat(state watch.State[upstream.Task]) error {
	heartbeat := &taskv1.Heartbeat{FailureCount: int32(state.Failures)}
	if !w.confirmed.IsZero() {
		if w.sub.Seen() == state.Revision {
			w.confirmed = state.At
		}
		heartbeat.ObserveTime = toTime(w.confirmed)
	}
	if state.Err != nil {
		heartbeat.FailureReason = reason.Of(state.Err).Reason()
	}
	return w.send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Heartbeat{Heartbeat: heartbeat}})
}

// end returns the end of the watch, given its last state.
func (w *watcher) end(state watch.State[upstream.Task], req taskRequest) error {
	if state.Err == nil {
		return failedTask(state.Value, req)
	}
	e := reason.Of(state.Err)
	if e.Outcome == reason.TaskNotFound && state.Revision > 0 {
		disappeared := *e
		disappeared.Outcome = reason.TaskDisappeared
		return &disappeared
	}
	return e
}

// send queues one message, and waits at most SendTimeout for room in gRPC's buffer. gRPC ends a blocked send only when
// the handler returns, so the send needs a goroutine of its own.
func (w *watcher) send(event *taskv1.WatchTaskResponse) error {
	w.opened = true
	w.service.metrics.sends.Inc()
	defer w.service.metrics.sends.Dec()
	sent := make(chan error, 1)
	go func() { sent <- w.trySend(event) }()
	limit, late := SendTimeout, &reason.Error{Outcome: reason.WatcherTooSlow}
	if left := time.Until(w.who.Expires); !w.who.Expires.IsZero() && left < limit {
		limit, late = left, errExpired
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case err := <-sent:
		return err
	case <-timeout.C:
		return late
	}
}

// trySend sends one message. It turns a panic into an error: the recovering interceptor does not run on this goroutine.
func (w *watcher) trySend(event *taskv1.WatchTaskResponse) (err error) {
	defer panics.Recover(&err, "while sending")
	return w.stream.Send(event)
}
