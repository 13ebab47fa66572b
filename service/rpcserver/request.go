package rpcserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// RequestTimeout is how long a call may take, after its header, to send its request. StopTimeout replaces it when the
// server stops, so that requests on their way still arrive.
const (
	RequestTimeout = 5 * time.Second
	StopTimeout    = time.Second
)

// errOverdue and errStopping end a call whose request has not arrived within RequestTimeout, or StopTimeout.
var (
	errOverdue  = errors.New("the request did not arrive within " + RequestTimeout.String())
	errStopping = errors.New("the request did not arrive before the server stopped")
)

// requests limits how long calls wait for their request. gRPC reads the whole request before a unary interceptor runs,
// so the wait of callers' calls begins in a handler around the generated one, or in RecvMsg. If the request is overdue,
// the stream is ended as by the handler, which ends the read. That needs no context: one that can be cancelled takes a
// watch 400 B, and a short call 5 % of its time. Calls of health and reflection wait from the tap on, with a context.
//
// The wait ends after the read, and not with [stats.InPayload], after which gRPC still waits for the client to close
// its side.
//
// All calls may wait equally long, so they are in a list in the order in which they fall due, with one timer. A timer and
// functions that wait for the end of each call would cost more than the rest of the tap.
type requests struct {
	called   func(from net.Addr)
	stopping context.Context // Ends when the server stops taking calls.
	overdue  prometheus.Counter

	mu      sync.Mutex
	list    request       // The list's ring: next is the first call. Guarded by mu, as are the fields below.
	length  int           // The number of calls in the list, including those that have ended since.
	sweepAt int           // The length at which the calls that have ended are removed.
	limit   time.Duration // Maximum wait of a call from now on.
	cause   error         // The error with which the timer ends calls.
	timer   *time.Timer   // Nil while no call waits.
}

// minSweep is the smallest length of the list at which calls that have ended are looked for.
const minSweep = 1024

func newRequests(stopping context.Context, config Config) *requests {
	r := &requests{called: config.Called, stopping: stopping, sweepAt: minSweep, limit: RequestTimeout, cause: errOverdue}
	r.list.prev, r.list.next = &r.list, &r.list
	m := promauto.With(config.Metrics)
	m.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kootask_requests_awaited", Help: "gRPC calls whose request has not arrived yet.",
	}, r.awaited)
	r.overdue = m.NewCounter(prometheus.CounterOpts{
		Name: "kootask_requests_overdue_total",
		Help: "gRPC calls that were ended because their request did not arrive in time.",
	})
	context.AfterFunc(stopping, r.hurry)
	return r
}

// request is the wait for one call's request, and the context of all calls but callers' streams. A nil request never
// expires.
type request struct {
	context.Context
	all    *requests
	header metadata.MD             // As received. It must not be changed.
	cancel context.CancelCauseFunc // Of a call of health or reflection. Their streams do not end by themselves.
	stream finisher                // Of a caller's call.
	who    *caller.Caller          // Of a caller's call. Nil until it is known.

	prev, next *request // Guarded by requests.mu, as are the fields below. Nil outside the list.
	due        time.Time
	cause      error // Why the call was ended.
}

// finisher is a stream of gRPC's server. WriteStatus ends the stream, and the read that waits on it.
type finisher interface {
	SetTrailer(trailer metadata.MD) error
	WriteStatus(status *status.Status) error
}

type requestKey struct{}

// Value implements [context.Context].
func (q *request) Value(key any) any {
	switch key {
	case requestKey{}:
		return q
	case headerKey{}:
		return q.header
	}
	return q.Context.Value(key)
}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// headed is the context of a caller's stream, with its metadata.
type headed struct {
	context.Context
	header metadata.MD
}

type headerKey struct{}

// Value implements [context.Context].
func (h *headed) Value(key any) any {
	if key == (headerKey{}) {
		return h.header
	}
	return h.Context.Value(key)
}

// headerOf returns the metadata that a call was received with; nil for a call without a tap. It must not be changed.
// Unlike [metadata.FromIncomingContext], it does not copy it.
func headerOf(ctx context.Context) metadata.MD {
	header, _ := ctx.Value(headerKey{}).(metadata.MD)
	return header
}

// tap returns the call's context. For a call of health or reflection it begins the wait, and the context ends if the
// request is overdue. It refuses a call with too much metadata, as gRPC's library refuses a message that is too long.
func (r *requests) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if from, ok := peer.FromContext(ctx); ok && r.called != nil {
		r.called(from.Addr)
	}
	if caller.HeaderSize(info.Header) > MaxHeader {
		return nil, reason.MetadataTooLong.Err()
	}
	switch {
	case methods[info.FullMethodName].stream != nil:
		return &headed{ctx, info.Header}, nil
	case ours(info.FullMethodName):
		return &request{Context: ctx, all: r, header: info.Header}, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	q := &request{Context: ctx, all: r, header: info.Header, cancel: cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waitLocked(q)
	return q, nil
}

// read reads the request of a caller's call with the given function. It returns a [*reason.Error] if the request is
// overdue: then the call has been ended.
func (q *request) read(ctx context.Context, receive func() error) error {
	q.stream, _ = grpc.ServerTransportStreamFromContext(ctx).(finisher)
	q.all.mu.Lock()
	q.all.waitLocked(q)
	q.all.mu.Unlock()
	err := receive()
	if !q.arrive() && q.cause != nil {
		return unarrived(q.cause)
	}
	return err
}

// end ends a call whose request is overdue. It does not block: WriteStatus may need a lock with which gRPC calls the tap.
func (q *request) end(cause error) {
	if q.cancel != nil {
		q.cancel(cause)
		return
	}
	q.cause = cause
	if q.who == nil {
		who := caller.Nobody(q.header.Get)
		q.who = &who
	}
	if q.stream != nil {
		end := unarrived(cause).Status(q.who.RequestID, q.who.Language)
		go func() {
			_ = q.stream.SetTrailer(trailer(q.who.RequestID, end.Err()))
			_ = q.stream.WriteStatus(end)
		}()
	}
}

// unarrived returns the error of a call whose request has not arrived.
func unarrived(cause error) *reason.Error {
	if errors.Is(cause, errStopping) {
		return &reason.Error{Outcome: reason.ServerDraining, Cause: cause}
	}
	return unreadable(reason.Missing, cause)
}

// waitLocked adds a call at the end of the list, with the full time.
func (r *requests) waitLocked(q *request) {
	q.due = time.Now().Add(r.limit)
	q.prev, q.next = r.list.prev, &r.list
	q.prev.next, q.next.prev = q, q
	r.length++
	if r.timer == nil {
		r.timer = time.AfterFunc(r.limit, r.expire)
	}
	if r.length >= r.sweepAt {
		r.sweepLocked()
	}
}

// sweepLocked removes the calls that have ended without a request. The next sweep is when the list has doubled, so a
// sweep costs each call little, and the ended ones in the list are bounded by the others.
func (r *requests) sweepLocked() {
	for q := r.list.next; q != &r.list; {
		next := q.next
		if q.Err() != nil {
			r.removeLocked(q)
		}
		q = next
	}
	r.sweepAt = max(minSweep, 2*r.length)
}

// removeLocked removes a call from the list. It reports false if the call is not in it.
func (r *requests) removeLocked(q *request) bool {
	if q.next == nil {
		return false
	}
	q.prev.next, q.next.prev = q.next, q.prev
	q.prev, q.next = nil, nil
	r.length--
	return true
}

// expire ends the calls that are due, and sets the timer for the next one.
func (r *requests) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.timer = nil
	now := time.Now()
	for q := r.list.next; q != &r.list; {
		next := q.next
		switch {
		case q.Err() != nil:
			r.removeLocked(q)
		case q.due.After(now):
			r.timer = time.AfterFunc(q.due.Sub(now), r.expire)
			return
		default:
			r.removeLocked(q)
			q.end(r.cause)
			if errors.Is(r.cause, errOverdue) {
				r.overdue.Inc()
			}
		}
		q = next
	}
}

// hurry shortens all waits when the server stops.
func (r *requests) hurry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limit, r.cause = StopTimeout, errStopping
	for q := r.list.next; q != &r.list; q = q.next {
		q.due = time.Now().Add(r.limit)
	}
	if r.timer != nil {
		r.timer.Reset(r.limit)
	}
}

// awaited returns the number of calls whose request has not arrived.
func (r *requests) awaited() float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0.0
	for q := r.list.next; q != &r.list; q = q.next {
		if q.Err() == nil {
			n++
		}
	}
	return n
}

// received ends the wait when the request has arrived. It does nothing the second time, after the call has expired, or for
// a caller's call. A stream of health or reflection then ends with the server.
func (q *request) received() {
	if q == nil || q.cancel == nil || !q.arrive() || q.all.stopping.Err() != nil {
		return
	}
	forget := context.AfterFunc(q.all.stopping, func() { q.cancel(errStopping) })
	context.AfterFunc(q, func() { forget() })
}

func (q *request) arrive() (inTime bool) {
	q.all.mu.Lock()
	defer q.all.mu.Unlock()
	return q.all.removeLocked(q)
}
