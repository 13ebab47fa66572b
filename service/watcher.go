package service

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/kootask/kootask/internal/panics"
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

// errUnfinished is counted as the end of a watch that panics.
var errUnfinished = errors.New("the watch has not ended")

// watcher is a call that watches tasks. The handler of the call sleeps in wait. Every event for the client wakes the
// sender, which calls Step: news from the hub, a silence, the end of the call, its lifetime or the server. All messages
// leave in Step, one at a time, and so does every end but that of a client that does not read.
type watcher struct {
	service  *Service
	ctx      context.Context // The call's.
	who      *caller.Caller
	steps    stepper
	sender   *watch.Stream
	since    time.Time
	until    time.Duration // When the watch ends at the latest, counted from since as is fires,
	untilErr error         // and its error then.

	ended   chan error  // Capacity 1: how the watch has ended.
	over    atomic.Bool // The watch has ended,
	gone    atomic.Bool // or is to end, with its call
	drained atomic.Bool // or with the server.

	// Used by Step only.
	timer *time.Timer   // Wakes the sender
	fires time.Duration // at this time.
}

// stepper is what differs between the calls that watch tasks.
type stepper interface {
	// step sends at most one message, passed after the beginning. It reports whether the watch has ended, and how; if it
	// has not, when another step is due although nothing happens.
	step(passed time.Duration) (due time.Duration, ended bool, err error)
}

// init prepares the watcher of a call. Close it.
func (w *watcher) init(ctx context.Context, s *Service, steps stepper) {
	w.service, w.ctx, w.steps, w.since = s, ctx, steps, time.Now()
	w.who, _ = caller.FromContext(ctx)
	w.sender, w.ended = s.senders.Join(connection(ctx)), make(chan error, 1)
	until, err := s.end(ctx, w.who)
	w.until, w.untilErr = until.Sub(w.since), err
}

// connection returns the identity of a call's connection: the address that all its calls share. Nil: unknown.
func connection(ctx context.Context) any {
	from, ok := peer.FromContext(ctx)
	if !ok || from.Addr == nil || !reflect.TypeOf(from.Addr).Comparable() {
		return nil
	}
	return from.Addr
}

// wait lets the sender step until the watch ends, and returns how it has ended.
func (w *watcher) wait(first time.Duration) error {
	w.fires = min(first, w.until)
	w.timer = time.AfterFunc(w.fires, w.sender.Wake)
	defer w.timer.Stop()
	w.sender.Start(w)
	select {
	case err := <-w.ended:
		return err
	case <-w.ctx.Done():
	}
	w.gone.Store(true)
	w.sender.Expire() // A message that is stuck is of no use any more.
	w.sender.Wake()
	return <-w.ended
}

// drain ends the watch with the server.
func (w *watcher) drain() {
	w.drained.Store(true)
	w.sender.Wake()
}

// close leaves the service's list and the senders.
func (w *watcher) close() {
	w.service.watches.remove(w)
	w.sender.Close()
}

// Expires returns when the caller's authentication expires.
func (w *watcher) Expires() time.Time { return w.who.Expires }

// Late ends the watch while its message is stuck: gRPC gives up a message when the handler returns.
func (w *watcher) Late() {
	switch expires := w.who.Expires; {
	case w.gone.Load():
		w.finish(context.Cause(w.ctx))
	case !expires.IsZero() && !time.Now().Before(expires):
		w.finish(errExpired)
	default:
		w.finish(&reason.Error{Outcome: reason.WatcherTooSlow})
	}
}

func (w *watcher) finish(err error) {
	if !w.over.Swap(true) {
		w.ended <- err
	}
}

// Step sends the news, if there is any. The senders call it.
func (w *watcher) Step(now time.Time) {
	if w.over.Load() {
		return
	}
	if ended, err := w.advance(now); ended {
		w.finish(err)
	}
}

// advance takes a step, if the caller is still allowed to watch. So that is checked before each message. A panic ends the
// watch: the recovering interceptor does not run on this goroutine.
func (w *watcher) advance(now time.Time) (ended bool, err error) {
	defer func() { ended = ended || err != nil }()
	defer panics.Recover(&err, "while sending")
	if err := w.who.Still(); err != nil {
		return true, err
	}
	passed := now.Sub(w.since)
	due, ended, err := w.steps.step(passed)
	if !ended {
		w.rearm(passed, min(due, w.until))
	}
	return ended, err
}

// stopped returns the error of an end from outside: the call has left, the time is over or the server stops. Nil: none.
func (w *watcher) stopped(passed time.Duration) error {
	switch {
	case w.gone.Load():
		return context.Cause(w.ctx)
	case passed >= w.until:
		return w.untilErr
	case w.drained.Load():
		return errDraining
	default:
		return nil
	}
}

// delivered measures how long a change took, unless it is older than the watch.
func (w *watcher) delivered(state *watch.State[upstream.Task]) {
	if state.Since.After(w.since) {
		w.service.metrics.changeDelivery.Observe(time.Since(state.Since).Seconds())
	}
}

// rearm sets the timer, unless it fires in time anyway: then the step that it wakes sets it again. So a message does not
// touch it.
func (w *watcher) rearm(passed, next time.Duration) {
	if passed < w.fires && next >= w.fires {
		return
	}
	w.fires = next
	w.timer.Reset(next - passed)
}

// endOf returns the end of the watch of a task, given its last state; nil if the task is finished.
func endOf(state *watch.State[upstream.Task]) error { return endBy(state.Err, state) }

// endBy is endOf for an error in place of the last one.
func endBy(err error, state *watch.State[upstream.Task]) error {
	if err == nil {
		return nil
	}
	e := reason.Of(err)
	if e.Outcome == reason.TaskNotFound && state.Revision > 0 {
		disappeared := *e
		disappeared.Outcome = reason.TaskDisappeared
		return &disappeared
	}
	return e
}
