package service

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/panics"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/message"
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

// watcher sends one watch to its client. The handler of the call sleeps in wait. Every event for the client wakes the
// sender, which calls Step: news from the hub, a silence, the end of the call, its lifetime or the server. All
// messages leave in Step, one at a time, and so does every end but that of a client that does not read.
type watcher struct {
	service *Service
	stream  grpc.ServerStreamingServer[taskv1.WatchTaskResponse]
	who     *caller.Caller
	taskID  string
	// answered reports to the quota that KooDrive has answered, or failed, the first poll.
	answered func()
	sender   *watch.Stream
	sub      *watch.Subscription[upstream.Task]
	since    time.Time
	until    time.Duration // When the watch ends at the latest, counted from since as are silent and fires,
	untilErr error         // and its error then.

	ended   chan error  // Capacity 1: how the watch has ended.
	over    atomic.Bool // The watch has ended,
	gone    atomic.Bool // or is to end, with its call
	drained atomic.Bool // or with the server.

	failedAsError bool // A FAILED task ends the watch with TASK_FAILED.

	// Used by Step only.
	opened    bool                        // A message was sent.
	confirmed *watch.State[upstream.Task] // The last state that confirmed the sent task. Nil: none.
	silent    time.Duration               // When a heartbeat is due.
	timer     *time.Timer                 // Wakes the sender
	fires     time.Duration               // at this time.
}

func newWatcher(
	s *Service, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse], who *caller.Caller, req *taskv1.WatchTaskRequest,
) *watcher {
	w := &watcher{
		service: s, stream: stream, who: who, taskID: req.GetTaskId(), failedAsError: req.GetFailedTaskAsError(),
		since: time.Now(), silent: FirstMessage,
		sender: s.senders.Join(connection(stream.Context())), ended: make(chan error, 1),
	}
	until, err := s.end(stream.Context(), who)
	w.until, w.untilErr = until.Sub(w.since), err
	return w
}

// connection returns the identity of a call's connection: the address that all its calls share. Nil: unknown.
func connection(ctx context.Context) any {
	from, ok := peer.FromContext(ctx)
	if !ok || from.Addr == nil || !reflect.TypeOf(from.Addr).Comparable() {
		return nil
	}
	return from.Addr
}

// wait lets the sender send until the watch ends, and returns how it has ended.
func (w *watcher) wait() error {
	w.fires = min(w.silent, w.until)
	w.timer = time.AfterFunc(w.fires, w.sender.Wake)
	defer w.timer.Stop()
	w.sender.Start(w)
	select {
	case err := <-w.ended:
		return err
	case <-w.stream.Context().Done():
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

// close leaves the service's list, the hub and the senders.
func (w *watcher) close() {
	w.service.watches.remove(w)
	if w.sub != nil {
		watch.Leave(w.sub)
	}
	w.sender.Close()
}

// Expires returns when the caller's authentication expires.
func (w *watcher) Expires() time.Time { return w.who.Expires }

// Late ends the watch while its message is stuck: gRPC gives up a message when the handler returns.
func (w *watcher) Late() {
	switch expires := w.who.Expires; {
	case w.gone.Load():
		w.finish(context.Cause(w.stream.Context()))
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

// advance sends at most one message. It reports whether the watch has ended, and how:
//  1. The caller must still be allowed to watch.
//  2. A task that was not sent yet is sent first, whatever has happened: the last state must not be missed.
//  3. Otherwise the watch ends if its task, its call, its time or the server does, or if its first poll failed.
//  4. Otherwise, after a silence, it sends a heartbeat.
//
// A panic ends the watch: the recovering interceptor does not run on this goroutine.
func (w *watcher) advance(now time.Time) (ended bool, err error) {
	defer func() { ended = ended || err != nil }()
	defer panics.Recover(&err, "while sending")
	passed := now.Sub(w.since)
	// Checked before each message, so at least once per heartbeat.
	if err := w.who.Still(); err != nil {
		return true, err
	}
	state, unseen := w.sub.Next()
	if state.Revision > 0 || state.Err != nil {
		w.answered()
	}
	gone, drained := w.gone.Load(), w.drained.Load()
	switch {
	case unseen:
		err = w.task(state)
	case state.Ended:
		return true, w.end(state)
	case gone:
		return true, context.Cause(w.stream.Context())
	case passed >= w.until:
		return true, w.untilErr
	case drained:
		return true, errDraining
	case state.Err != nil && state.Revision == 0 && !w.opened: // The first poll's error is the call's.
		return true, reason.Of(state.Err)
	case passed >= w.silent:
		err = w.heartbeat(state)
	default:
		w.rearm(passed)
		return false, nil
	}
	switch {
	case err != nil:
		return true, err
	case state.Ended:
		return true, w.end(state)
	case drained:
		return true, errDraining
	}
	w.silent = passed + w.service.heartbeat
	w.rearm(passed)
	if gone { // The wake for it is used up.
		w.sender.Wake()
	}
	return false, nil
}

// rearm sets the timer, unless it fires in time anyway: then the step that it wakes sets it again. So a message does not
// touch it.
func (w *watcher) rearm(passed time.Duration) {
	next := min(w.silent, w.until)
	if passed < w.fires && next >= w.fires {
		return
	}
	w.fires = next
	w.timer.Reset(next - passed)
}

// shown holds the messages of a state, which all its watchers share.
type shown struct {
	once            [2]sync.Once
	task, heartbeat *message.Message
}

func shownOf(state *watch.State[upstream.Task]) *shown {
	return state.Memo.Do(func() any { return &shown{} }).(*shown)
}

func (w *watcher) task(state *watch.State[upstream.Task]) error {
	w.confirmed = state
	shown := shownOf(state)
	shown.once[0].Do(func() {
		shown.task = message.New(&taskv1.WatchTaskResponse{
			Event: &taskv1.WatchTaskResponse_Task{Task: toTask(state.Value, state.At)},
		})
	})
	err := w.send(shown.task)
	if err == nil && state.Since.After(w.since) {
		w.service.metrics.changeDelivery.Observe(time.Since(state.Since).Seconds())
	}
	return err
}

// heartbeat sends the time of the last confirmation and the failures since. The task of state may be newer than the one
// sent: it came while the client did not read, and is in doubt now. It must not confirm the older one.
func (w *watcher) heartbeat(state *watch.State[upstream.Task]) error {
	switch {
	case w.confirmed == nil:
		return w.send(heartbeatOf(w.taskID, state, time.Time{}))
	case w.sub.Seen() != state.Revision:
		return w.send(heartbeatOf(w.taskID, state, w.confirmed.At))
	}
	w.confirmed = state
	shown := shownOf(state)
	shown.once[1].Do(func() { shown.heartbeat = heartbeatOf(w.taskID, state, state.At) })
	return w.send(shown.heartbeat)
}

func heartbeatOf(taskID string, state *watch.State[upstream.Task], confirmed time.Time) *message.Message {
	beat := &taskv1.Heartbeat{FailureCount: int32(state.Failures)}
	if !confirmed.IsZero() {
		beat.ObserveTime = toTime(confirmed)
	}
	if state.Err != nil {
		beat.FailureReason = reason.Of(state.Err).Reason()
		beat.FailingTaskIds = []string{taskID}
	}
	return message.New(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Heartbeat{Heartbeat: beat}})
}

// end returns the end of the watch, given its last state.
func (w *watcher) end(state *watch.State[upstream.Task]) error {
	if state.Err == nil {
		return failedTask(state.Value, w.failedAsError)
	}
	e := reason.Of(state.Err)
	if e.Outcome == reason.TaskNotFound && state.Revision > 0 {
		disappeared := *e
		disappeared.Outcome = reason.TaskDisappeared
		return &disappeared
	}
	return e
}

// send queues one message. It blocks while there is no room in gRPC's buffer.
func (w *watcher) send(m *message.Message) error {
	w.opened = true
	return w.stream.SendMsg(m)
}
