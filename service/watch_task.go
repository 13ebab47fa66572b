package service

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/panics"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// errLifetime is the end of a watch that has lasted as long as one may.
var errLifetime = &reason.Error{Outcome: reason.WatchLifetimeReached}

// errExpired is the end of a watch whose caller is not known any more.
var errExpired = &reason.Error{Outcome: reason.CallerTokenExpired}

// WatchTask implements TaskService.
func (s *Service) WatchTask(
	req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse],
) error {
	lifetime := time.Duration(float64(s.lifetime) * (1 - LifetimeSpread + 2*LifetimeSpread*rand.Float64()))
	who, _ := caller.FromContext(stream.Context())
	end := errLifetime
	if left := time.Until(who.Expires); !who.Expires.IsZero() && left < lifetime {
		lifetime, end = left, errExpired
	}
	ctx, cancel := within(stream.Context(), lifetime, end)
	defer cancel()
	q, err := s.query(ctx, req)
	if err != nil {
		return err
	}
	select {
	case <-s.draining:
		return errDraining
	default:
	}
	if err := s.limits.enter(q.Caller, q.key); err != nil {
		return err
	}
	defer s.limits.leave(q.Caller, q.key)
	wait, answered, err := s.admit(q, PeerPatience)
	if err != nil {
		return err
	}
	defer answered()

	err = errUnfinished
	ended := s.metrics.watched()
	defer func() { ended(err) }()
	sub := s.hub.Subscribe(q.key, s.poll(q, wait))
	defer sub.Close()
	w := &watcher{service: s, stream: stream, who: who, since: time.Now(), answered: answered}
	err = w.follow(ctx, sub, req)
	return err
}

// errUnfinished is the end of a watch that panics.
var errUnfinished = errors.New("the watch has not ended")

// follow sends what the subscription has to show, until the watch ends.
func (w *watcher) follow(ctx context.Context, sub *watch.Subscription[upstream.Task], req taskRequest) (err error) {
	silence := time.NewTimer(FirstMessage)
	defer silence.Stop()
	draining, moment := w.service.draining, (<-chan time.Time)(nil)
	for {
		silent, drained := false, false
		select {
		case <-ctx.Done():
		case <-sub.Wake():
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
		state, unseen := sub.Next()
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
			return w.service.outcome(state.Err)
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
	service *Service
	stream  grpc.ServerStreamingServer[taskv1.WatchTaskResponse]
	who     caller.Caller
	since   time.Time
	opened  bool // Something was sent.
	shown   bool // A task was sent.
	// answered tells that KooDrive has given its first verdict.
	answered func()
}

func (w *watcher) task(state watch.State[upstream.Task]) error {
	w.shown = true
	err := w.send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: toTask(state.Value, state.At)}})
	if err == nil && state.Since.After(w.since) {
		w.service.metrics.changeDelivery.Observe(time.Since(state.Since).Seconds())
	}
	return err
}

// heartbeat says how KooDrive does. The task of state is the one that was sent last, if one was.
func (w *watcher) heartbeat(state watch.State[upstream.Task]) error {
	heartbeat := &taskv1.Heartbeat{FailureCount: int32(state.Failures)}
	if w.shown {
		heartbeat.ObserveTime = toTime(state.At)
	}
	if state.Err != nil {
		heartbeat.FailureReason = w.service.outcome(state.Err).Reason()
	}
	return w.send(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Heartbeat{Heartbeat: heartbeat}})
}

// end is how the watch ends, given the last state.
func (w *watcher) end(state watch.State[upstream.Task], req taskRequest) error {
	if state.Err == nil {
		return failedTask(state.Value, req)
	}
	e := w.service.outcome(state.Err)
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
	go func() {
		defer func() {
			if p := recover(); p != nil { // Not the interceptor's goroutine: it would end the process.
				sent <- panics.Error(p, "while sending")
			}
		}()
		sent <- w.stream.Send(event)
	}()
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

// poll returns how the hub asks for a task, for the first time after a wait. It may get the answer to somebody's GetTask, and a finished task from
// memory.
func (s *Service) poll(q question, wait time.Duration) watch.Poll[upstream.Task] {
	q.Trace = upstream.TraceID{} // A poll serves many watches: it belongs to the trace of none.
	q.Resend = true
	return func(ctx context.Context) (watch.Answer[upstream.Task], error) {
		if err := sleep(ctx, wait); err != nil {
			return watch.Answer[upstream.Task]{}, err
		}
		wait = 0
		ask := s.ask(q)
		q.Resend = false // The first answer is the call's own. After that, the next poll is soon enough.
		due := time.Now()
		seen, err := s.observer.Get(ctx, q.key, observe.Wish{}, func(ctx context.Context, begun func()) (upstream.Task, error) {
			return ask(ctx, sync.OnceFunc(func() {
				s.metrics.pollLag.Observe(time.Since(due).Seconds())
				begun()
			}))
		})
		if err == nil {
			s.metrics.observed(seen.Source)
		}
		return watch.Answer[upstream.Task]{Value: seen.Value, At: seen.Answered}, err
	}
}
