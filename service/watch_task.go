package service

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/quota"
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
	var begun quota.Watch
	w, err := s.begin(req, stream, &begun)
	if err != nil {
		return err
	}
	err = errUnfinished
	defer func() {
		w.close()
		s.metrics.ended(err)
		begun.Leave()
	}()
	err = w.wait()
	return err
}

// begin begins a watch, and sets begun. Its frame is not part of the stack on which the watch waits.
func (s *Service) begin(
	req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse], begun *quota.Watch,
) (*watcher, error) {
	who, _ := caller.FromContext(stream.Context())
	q, err := s.ask.Question(who, req.GetTaskId())
	if err != nil {
		return nil, err
	}
	w := newWatcher(s, stream, who, req)
	defer func() {
		if w.sub == nil {
			w.close()
			begun.Leave()
		}
	}()
	if !s.watches.add(w) {
		return nil, errDraining
	}
	watches, err := s.quota.Watch([]quota.Subject{q.Subject()}, func(int) bool { return s.ask.Withheld(q) })
	if err != nil {
		return nil, err
	}
	*begun = watches[0]
	w.answered = begun.Answered
	w.sub = s.hub.Subscribe(q.Key(), s.poll(q, begun.Wait), w.sender)
	s.metrics.watchers.Inc()
	return w, nil
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
