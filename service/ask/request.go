package ask

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/internal/panics"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// request measures one call to upstream: the wait in the queue and its 0 to 3 requests. Its methods are called one
// after the other.
type request struct {
	asker    *Asker
	ctx      context.Context // The flight's.
	question *Question
	trace    upstream.TraceID // Never zero: the log needs it too.
	begun    func()

	since    time.Time // When it entered its present stage: the queue, or in flight.
	waited   time.Duration
	requests int           // Requests that have ended.
	err      error         // Error of the last of them,
	failure  *reason.Error // and its translation.
}

func (a *Asker) begin(ctx context.Context, q *Question, trace upstream.TraceID, begun func()) *request {
	r := &request{asker: a, ctx: ctx, question: q, trace: trace, begun: begun, since: time.Now()}
	if r.trace == (upstream.TraceID{}) {
		r.trace = upstream.NewTrace()
	}
	return r
}

// sent records that a request has left the queue.
func (r *request) sent() {
	observe.Enter(r.ctx, observe.Sent)
	r.waited = time.Since(r.since)
	r.asker.metrics.queueWait.Observe(r.waited.Seconds())
	r.since = time.Now()
	r.begun()
}

// ended records the end of a request. Another one may follow.
func (r *request) ended(err error) {
	observe.Enter(r.ctx, observe.Queued)
	r.requests++
	r.err, r.failure = err, r.asker.outcome(err)
	took := time.Since(r.since)
	r.asker.metrics.requestSeconds.Observe(took.Seconds())
	r.asker.metrics.ended(r.failure)
	r.log(took)
	r.since = time.Now()
}

// done records the end of the call, and returns its error; nil stands for a task.
func (r *request) done(err error) *reason.Error {
	observe.Enter(r.ctx, observe.Idle)
	failure := r.failure
	if r.requests == 0 || !errors.Is(err, r.err) { // It ended without a request, or between two.
		failure = r.asker.outcome(err)
	}
	switch {
	case r.requests > 0:
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		r.asker.metrics.queueWait.Observe(time.Since(r.since).Seconds())
	default:
		r.asker.metrics.withheld.WithLabelValues(failure.Outcome.Name).Inc()
	}
	return failure
}

// finish records the result of the call, learns from it, and returns the task or a [*reason.Error]. A panic becomes an
// error.
func (r *request) finish(queue upstream.Key, answered upstream.Task, cause error) (task upstream.Task, err error) {
	defer panics.Recover(&err, "while asking")
	a, q, failure := r.asker, r.question, r.done(cause)
	if r.requests > 0 { // Otherwise the task was not requested and stays new.
		a.quota.Learn(q.Subject(), failure)
	}
	if failure != nil {
		return task, failure
	}
	if queue != q.Caller() { // It was its address's.
		a.upstream.Accept(q.Query, queue)
	}
	a.answered(q, answered)
	a.retries.earn(queue)
	return answered, nil
}

// log writes the line of an ended request. The error has the same text as in the call's line.
func (r *request) log(took time.Duration) {
	if !r.asker.log.Enabled(r.ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("task_id", r.question.TaskID()),
		slog.String("trace_id", hex.EncodeToString(r.trace[:])),
		slog.String("outcome", name(r.failure)),
		slog.Float64("seconds", took.Seconds()),
		slog.Float64("wait_seconds", r.waited.Seconds()),
	}
	if r.failure != nil {
		attrs = append(attrs, slog.String("error", r.failure.Error()))
	}
	r.asker.log.LogAttrs(r.ctx, slog.LevelDebug, "koodrive request", attrs...)
}

// name returns the label of an outcome.
func name(failure *reason.Error) string {
	if failure == nil {
		return codes.OK.String()
	}
	return failure.Outcome.Name
}
