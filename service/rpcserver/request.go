package rpcserver

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
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
// [stats.InPayload], after which gRPC still waits for the client to close its side.
type requests struct {
	called   func(from net.Addr)
	stopping context.Context // Ends when the server stops taking calls.
	waiting  prometheus.Gauge
	overdue  prometheus.Counter
}

func newRequests(stopping context.Context, config Config) *requests {
	m := promauto.With(config.Metrics)
	return &requests{
		called: config.Called, stopping: stopping,
		waiting: m.NewGauge(prometheus.GaugeOpts{
			Name: "kootask_requests_awaited", Help: "gRPC calls whose request has not arrived yet.",
		}),
		overdue: m.NewCounter(prometheus.CounterOpts{
			Name: "kootask_requests_overdue_total",
			Help: "gRPC calls that were ended because their request did not arrive in time.",
		}),
	}
}

// request is the wait for one call's request. A nil request never expires.
type request struct {
	all        *requests
	ours       bool // TaskService's. The streams of health and reflection do not end by themselves.
	cancel     context.CancelCauseFunc
	unregister func() bool // Unregisters hurry from requests.stopping.
	forget     func() bool // Unregisters end from the call's context.

	mu      sync.Mutex
	timer   *time.Timer // Guarded by mu, as are the fields below.
	cause   error       // The error with which the timer ends the call.
	held    bool        // The server is not reading the request yet.
	arrived bool
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
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
	ctx, cancel := context.WithCancelCause(ctx)
	q := &request{all: r, ours: ours(info.FullMethodName), cancel: cancel, cause: errOverdue}
	q.timer = time.AfterFunc(RequestTimeout, q.expire)
	r.waiting.Inc()
	q.unregister = context.AfterFunc(r.stopping, q.hurry)
	q.forget = context.AfterFunc(ctx, func() { q.end(context.Cause(ctx)) })
	return context.WithValue(ctx, requestKey{}, q), nil
}

// expire ends the call unless its request has arrived in the meantime.
func (q *request) expire() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.arrived && !q.held {
		q.cancel(q.cause)
	}
}

// hurry shortens the wait when the server stops. It ends streams of health and reflection.
func (q *request) hurry() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.cause = errStopping
	switch {
	case q.arrived && !q.ours:
		q.cancel(errStopping)
	case !q.arrived && !q.held:
		q.timer.Reset(StopTimeout)
	}
}

// end is called when the call's context has ended.
func (q *request) end(cause error) {
	q.unregister()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.arrived {
		return
	}
	q.arrived = true
	q.timer.Stop()
	q.all.waiting.Dec()
	if errors.Is(cause, errOverdue) {
		q.all.overdue.Inc()
	}
}

// hold stops the timer while the server does not read the request. resume restarts it with the full time.
func (q *request) hold() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held = true
	q.timer.Stop()
}

func (q *request) resume() {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.arrived {
		return
	}
	q.held = false
	limit := RequestTimeout
	if errors.Is(q.cause, errStopping) {
		limit = StopTimeout
	}
	q.timer.Reset(limit)
}

// received ends the wait when the request has arrived. It does nothing the second time, or after the timer has expired.
func (q *request) received() {
	if q == nil || !q.arrive() || !q.ours {
		return
	}
	q.unregister()
	q.forget()
}

func (q *request) arrive() (inTime bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.arrived || !q.timer.Stop() {
		return false
	}
	q.arrived = true
	q.all.waiting.Dec()
	return true
}
