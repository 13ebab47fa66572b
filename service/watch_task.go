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

// FirstMessage is how long a watch waits for KooDrive's first answer before a heartbeat opens the stream: an error until
// then is the call's own.
const FirstMessage = 2 * time.Second

// SendTimeout is how long a send may wait for the client before its watch ends. gRPC takes 64 KiB beyond the client's window
// before a send waits at all, and shows its handlers nothing of what is unsent: a watch with less to say lasts its lifetime.
const SendTimeout = 30 * time.Second

// LifetimeSpread is the share by which a watch's lifetime is shorter or longer at random.
const LifetimeSpread = 0.2

// errLifetime is the end of a watch that has lasted as long as one may, and errExpired of one whose caller is no longer authenticated.
var (
	errLifetime = &reason.Error{Outcome: reason.WatchLifetimeReached}
	errExpired  = &reason.Error{Outcome: reason.CallerTokenExpired}
)

// WatchTask implements TaskService.
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

// poll returns how the hub asks for a task, for the first time after a wait.
func (s *Service) poll(q ask.Question, wait time.Duration) watch.Poll[upstream.Task] {
	poll := s.ask.Poll(q, wait)
	return func(ctx context.Context) (watch.Answer[upstream.Task], error) {
		answer, err := poll(ctx)
		return watch.Answer[upstream.Task]{Value: answer.Value, At: answer.Answered}, err
	}
}

// judge is how the error of a poll is taken.
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

// stale is the end of a watch that KooDrive has not answered for too long. It has the status and code of the last answer.
func stale(last error) error {
	e := &reason.Error{Outcome: reason.UpstreamStale, Cause: last}
	if last != nil {
		known := reason.Of(last)
		e.UpstreamStatus, e.UpstreamCode = known.UpstreamStatus, known.UpstreamCode
	}
	return e
}

// errUnfinished is the end of a watch that panics.
var errUnfinished = errors.New("the watch has not ended")

// follow sends what the subscription has to show, until the watch ends.
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
		// What a caller may see is asked before each message, and so as often as there is a heartbeat.
		if err := w.who.Still(); err != nil {
			return err
		}
		// The task goes first, whatever else has happened: the last one is not to be missed.
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
		case state.Err != nil && state.Revision == 0 && !w.opened: // KooDrive's first verdict is the call's.
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

// watcher is the client of one watch.
type watcher struct {
	service   *Service
	stream    grpc.ServerStreamingServer[taskv1.WatchTaskResponse]
	sub       *watch.Subscription[upstream.Task]
	wake      <-chan struct{} // From sub.
	who       caller.Caller
	since     time.Time
	opened    bool      // Something was sent.
	confirmed time.Time // When KooDrive last confirmed the task that was sent last. Zero before the first.
	// answered tells that KooDrive has given its first verdict.
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

// heartbeat says how KooDrive does. The task of state may be newer than the one that was sent last: one that came while the client did
// not read, and is doubted since.
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

// end is how the watch ends, given the last state.
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

// send queues one message, and waits no longer than SendTimeout for room in gRPC's queue. gRPC has no other way to end a send
// that is stuck than to return from the call: that needs a goroutine, for as long as the message takes.
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

// trySend sends one message. A panic in it would end the process, since it is not on the interceptor's goroutine.
func (w *watcher) trySend(event *taskv1.WatchTaskResponse) (err error) {
	defer panics.Recover(&err, "while sending")
	return w.stream.Send(event)
}
