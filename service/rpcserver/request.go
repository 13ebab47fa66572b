package rpcserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
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
// so the wait begins in the tap, which sees each call's header first. It ends in the interceptors, and not with
// [stats.InPayload], after which gRPC still waits for the client to close its side. The request of TaskService's streams
// is read by the handler, which can leave the read behind: so a watch needs no context that can be cancelled for this, and
// the many watches of a server less memory.
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

// request is the wait for one call's request, and the call's context. A nil request never expires.
type request struct {
	context.Context
	all    *requests
	header metadata.MD             // As received. It must not be changed.
	ours   bool                    // TaskService's. The streams of health and reflection do not end by themselves.
	end    context.CancelCauseFunc // Ends the wait. It does not block.

	prev, next *request // Guarded by requests.mu, as is due. Nil outside the list.
	due        time.Time
}

type requestKey struct{}

// Value implements [context.Context].
func (q *request) Value(key any) any {
	if key == (requestKey{}) {
		return q
	}
	return q.Context.Value(key)
}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// headerOf returns the metadata that a call was received with. It must not be changed: only that of a stream is a copy.
func headerOf(ctx context.Context) metadata.MD {
	if q := requestOf(ctx); q != nil {
		return q.header
	}
	header, _ := metadata.FromIncomingContext(ctx)
	return header
}

// tap begins the wait. It returns the call's context, which ends if the request is overdue. It refuses a call with too
// much metadata, as gRPC's library refuses a message that is too long.
func (r *requests) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if from, ok := peer.FromContext(ctx); ok && r.called != nil {
		r.called(from.Addr)
	}
	if caller.HeaderSize(info.Header) > MaxHeader {
		return nil, reason.MetadataTooLong.Err()
	}
	if streamHandler(info.FullMethodName) != nil {
		return ctx, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	q := &request{Context: ctx, all: r, header: info.Header, ours: ours(info.FullMethodName), end: cancel}
	r.wait(q)
	return q, nil
}

// read reads a stream's request with the given function, and returns its error. It returns errOverdue or errStopping if
// that takes too long: gRPC ends the read when the call ends.
func (r *requests) read(ctx context.Context, receive func() error) error {
	overdue, received := make(chan error, 1), make(chan error, 1)
	q := &request{Context: ctx, all: r, end: func(cause error) { overdue <- cause }}
	r.wait(q)
	defer q.arrive()
	go func() { received <- guard(receive) }()
	select {
	case err := <-received:
		return err
	case cause := <-overdue:
		return cause
	}
}

func (r *requests) wait(q *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waitLocked(q)
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

// received ends the wait when the request has arrived. It does nothing the second time, or after the call has expired. A
// stream of health or reflection then ends with the server.
func (q *request) received() {
	if q == nil || !q.arrive() || q.ours || q.all.stopping.Err() != nil {
		return
	}
	forget := context.AfterFunc(q.all.stopping, func() { q.end(errStopping) })
	context.AfterFunc(q, func() { forget() })
}

func (q *request) arrive() (inTime bool) {
	q.all.mu.Lock()
	defer q.all.mu.Unlock()
	return q.all.removeLocked(q)
}
