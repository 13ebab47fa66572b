// Package ask fetches the status of a task from KooDrive on behalf of a caller. Calls and polls for the same question
// share a request, and the newest answers are kept for a minute. It returns an answer or one [*reason.Error],
// translated once.
//
// The package decides when a failed request is repeated at once. Package watch decides when a task is polled, and
// package quota who may ask.
//
//	asker := ask.New(ask.Config{Upstream: client, Quota: quota})
//	defer asker.Close()
//	…
//	question, err := asker.Question(who, "1534087020903704704")
//	answer, err := asker.Get(ctx, question, ask.Wish{})
package ask

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/quota"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// Patience is how long GetTask waits in the queue for KooDrive. A watch waits without limit.
const Patience = time.Second

// Config configures an Asker.
type Config struct {
	// Upstream is KooDrive. Required. The Asker does not close it.
	Upstream *upstream.Client
	// App signs the requests for the user that the caller names. Nil: the caller's own credential is forwarded.
	App *upstream.App
	// Quota limits the requests. Required. The Asker does not close it.
	Quota *quota.Quota
	// Final reports whether a task can no longer change. Required.
	Final func(upstream.Task) bool
	// Answered is called with each task that KooDrive returns, and the question that asked for it. It must not block.
	// Nil: it is not called.
	Answered func(*Question, upstream.Task)
	// PollMax is the longest interval of polls. At the ceiling of requests, a poll after the first one lets first answers
	// of its caller go before it, until it is overdue by PollMax. 0: it lets none go before it.
	PollMax time.Duration
	// Log gets a debug line for each request to KooDrive. Nil: no log.
	Log *slog.Logger
	// Metrics registers the Asker's metrics. Nil: they are not registered.
	Metrics prometheus.Registerer
}

// Answer is a task and the time at which it was true.
type Answer = observe.Observation[upstream.Task]

// Wish describes the answer that a call accepts.
type Wish = observe.Wish

// Asker sends requests to KooDrive. It is safe for concurrent use.
type Asker struct {
	upstream *upstream.Client
	app      *upstream.App
	quota    *quota.Quota
	answered func(*Question, upstream.Task)
	pollMax  time.Duration
	log      *slog.Logger
	metrics  *metrics
	retries  *retries
	observer *observe.Observer[upstream.Key, upstream.Task]
}

// New returns an Asker. Close it.
func New(config Config) *Asker {
	a := &Asker{
		upstream: config.Upstream, app: config.App, quota: config.Quota, answered: config.Answered,
		pollMax:  config.PollMax,
		log:      cmp.Or(config.Log, slog.New(slog.DiscardHandler)),
		metrics:  newMetrics(config.Metrics, config.Upstream),
		retries:  newRetries(),
		observer: observe.New[upstream.Key](observe.Config[upstream.Task]{Final: config.Final}),
	}
	if a.answered == nil {
		a.answered = func(*Question, upstream.Task) {}
	}
	return a
}

// Close waits for the requests to KooDrive in flight. No call of the Asker may be in flight.
func (a *Asker) Close() {
	a.observer.Close()
	a.retries.close()
}

// Withheld reports whether a request would not be sent now, because a circuit breaker is open or KooDrive has sent
// Retry-After.
func (a *Asker) Withheld(q *Question) bool { return a.upstream.Withheld(q.Query, a.queue(q)) }

// queue returns the queue of a question. Callers that KooDrive has not answered lately share the queue of their
// address, so opening many callers gains nothing.
func (a *Asker) queue(q *Question) upstream.Key {
	if a.quota.Accepts(q.Caller()) {
		return q.Caller()
	}
	q.hash.Do(func() { q.peer = a.upstream.PeerKey(q.address) })
	return q.peer
}

// Kept returns the task for a call if an earlier request has brought it: see [Asker.Get]. It does not block, and no limit
// counts it.
func (a *Asker) Kept(q *Question, wish Wish) (Answer, bool) {
	answer, ok := a.observer.Kept(q.Key(), wish)
	if ok {
		a.metrics.observed[answer.Source].Inc()
	}
	return answer, ok
}

// Get returns the task for a call, as old as the wish allows; the wish's Patience is always [Patience]. If ctx ends first, Get
// fails with its cause.
func (a *Asker) Get(ctx context.Context, q *Question, wish Wish) (Answer, error) {
	checked := false // The quota asks about new tasks only.
	answered, err := a.quota.Call(q.Subject(), func() bool {
		checked = !a.Withheld(q)
		return !checked
	})
	if err != nil {
		return Answer{}, err
	}
	defer answered()
	wish.Patience = Patience
	answer, err := a.observer.Get(ctx, q.Key(), wish, a.twice(q, checked))
	switch {
	case err == nil:
		a.metrics.observed[answer.Source].Inc()
		return answer, nil
	case errors.Is(err, observe.ErrNotBegun):
		return answer, a.quota.NotBegun(q.Caller(), err)
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return answer, reason.Of(err)
}

// Poll returns a function that fetches the task each time it is called; the first call begins with a wait. It may share
// the request of a call, and takes a finished task from memory. It does not block: see [observe.Observer.Begin]. known is set if
// a watch has an answer already.
func (a *Asker) Poll(q *Question, wait time.Duration) func(ctx context.Context, known bool, then func(Answer, error)) {
	first := true // A watch's first answer comes as fast as a call's. A later one can wait.
	return func(ctx context.Context, known bool, then func(Answer, error)) {
		if !first {
			a.poll(ctx, q, false, then)
			return
		}
		first = false
		after(ctx, wait, func() { a.poll(ctx, q, !known, then) })
	}
}

// poll fetches the task for a watch.
func (a *Asker) poll(ctx context.Context, q *Question, first bool, then func(Answer, error)) {
	// A poll serves many watches, so it belongs to no call's trace.
	due, once := time.Now(), a.once(q, upstream.TraceID{}, first, false)
	ask := func(ctx context.Context, begun func(), done func(upstream.Task, error)) {
		lagged := false // A request that is sent again begins again.
		once(ctx, func() {
			if !lagged {
				lagged = true
				a.metrics.pollLag.Observe(time.Since(due).Seconds())
			}
			begun()
		}, done)
	}
	a.observer.Begin(ctx, q.Key(), ask, func(answer Answer, err error) {
		if err != nil {
			then(answer, reason.Of(err))
			return
		}
		a.metrics.observed[answer.Source].Inc()
		then(answer, nil)
	})
}

// once sends a request to KooDrive. First it waits for the rate limit of the app's user, if there is one, and then in the
// queue. A zero trace stands for a random one. first means that somebody waits for the answer, and checked that Withheld has
// reported false: just now, if there is no such rate.
func (a *Asker) once(q *Question, trace upstream.TraceID, first, checked bool) observe.Ask[upstream.Task] {
	return func(ctx context.Context, begun func(), done func(upstream.Task, error)) {
		observe.Enter(ctx, observe.Queued)
		a.pace(ctx, q, func(err error) {
			if err != nil {
				done(upstream.Task{}, reason.Of(fmt.Errorf("waiting for the user's rate: %w", err)))
				return
			}
			r := a.begin(ctx, q, trace, begun)
			call := upstream.Call{
				Queue: a.queue(q), Language: q.language, Trace: r.trace, Checked: checked && a.app == nil, Resend: first,
				Begun: r.sent, Ended: r.ended,
			}
			checked = false // Another request comes later.
			if !first {
				call.Yield = a.pollMax
			}
			a.upstream.Begin(ctx, q.Query, call, func(task upstream.Task, err error) { done(r.finish(call.Queue, task, err)) })
		})
	}
}

// pace calls then when the rate limit of the app's user allows a request, or with ctx's error if ctx ends first.
func (a *Asker) pace(ctx context.Context, q *Question, then func(error)) {
	retry := a.quota.PaceUser(q.Caller())
	if retry == 0 {
		then(nil)
		return
	}
	after(ctx, retry, func() {
		if ctx.Err() != nil {
			then(ctx.Err())
			return
		}
		a.pace(ctx, q, then)
	})
}

// after calls then when d has passed or ctx has ended: at once if d is 0, and otherwise in a goroutine of its own.
func after(ctx context.Context, d time.Duration, then func()) {
	if d <= 0 {
		then()
		return
	}
	over, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(over, func() {
		cancel()
		then()
	})
}
