package ask

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// request measures one call to upstream: its wait in the queue, its request or two, and that it was not made. Its methods are called
// one after the other.
type request struct {
	asker    *Asker
	ctx      context.Context // The flight's.
	question Question
	trace    upstream.TraceID // Never zero: the log has it too.
	begun    func()

	since    time.Time // When it entered the queue, or its request was sent.
	waited   time.Duration
	requests int           // That have ended.
	err      error         // What the last of them ended with,
	failure  *reason.Error // and what that comes to.
}

func (a *Asker) begin(ctx context.Context, q Question, begun func()) *request {
	r := &request{asker: a, ctx: ctx, question: q, trace: q.trace, begun: begun, since: time.Now()}
	if r.trace == (upstream.TraceID{}) {
		r.trace = newTrace()
	}
	return r
}

// sent takes that the request has left the queue.
func (r *request) sent() {
	observe.Enter(r.ctx, observe.Sent)
	r.waited = time.Since(r.since)
	r.asker.metrics.queueWait.Observe(r.waited.Seconds())
	r.since = time.Now()
	r.begun()
}

// ended takes the end of the request. Another one may follow.
func (r *request) ended(err error) {
	observe.Enter(r.ctx, observe.Queued)
	r.requests++
	r.err, r.failure = err, r.asker.outcome(err)
	took := time.Since(r.since)
	r.asker.metrics.requestSeconds.Observe(took.Seconds())
	r.asker.metrics.requests.WithLabelValues(name(r.failure)).Inc()
	r.log(took)
	r.since = time.Now()
}

// done takes the end of the call, and returns what it comes to: nil is a task.
func (r *request) done(err error) *reason.Error {
	observe.Enter(r.ctx, observe.Idle)
	failure := r.failure
	if r.requests == 0 || !errors.Is(err, r.err) { // It ended without a request, or between two.
		failure = r.asker.outcome(err)
	}
	var refused *reason.Error
	switch {
	case r.requests > 0, errors.As(err, &refused):
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		r.asker.metrics.queueWait.Observe(time.Since(r.since).Seconds())
	default:
		r.asker.metrics.withheld.WithLabelValues(failure.Outcome.Name).Inc()
	}
	return failure
}

// log writes the line of a request that has ended. An error's text is the one that a call's line has.
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

// name is the outcome of a request.
func name(failure *reason.Error) string {
	if failure == nil {
		return codes.OK.String()
	}
	return failure.Outcome.Name
}
