package rpcserver

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/tap"

	"github.com/kootask/kootask/service/reason"
)

// RequestTimeout is how long a call may take to send its request, after its header.
const RequestTimeout = 5 * time.Second

// errOverdue ends a call whose request has not arrived in time, and errStopping one whose request has not arrived when the server
// stops.
var (
	errOverdue  = errors.New("the request did not arrive within " + RequestTimeout.String())
	errStopping = errors.New("the request did not arrive before the server stopped")
)

// requests bounds how long calls wait for their request. gRPC reads the whole request before a unary interceptor runs, so the
// wait begins in the tap, which sees each call's header first. It ends in the interceptors, and not with [stats.InPayload]:
// gRPC reports the message and then still waits for the client to close its side.
type requests struct {
	called   func(from net.Addr)
	stopping context.Context // Ends when the server stops taking calls: then no request is waited for.
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
			Name: "kootask_requests_overdue_total", Help: "gRPC calls that were ended because their request did not arrive in time.",
		}),
	}
}

// request is the wait for one call's request. The nil one is never overdue.
type request struct {
	timer   *time.Timer
	stay    func() bool // Lets the call go on when the server stops.
	forget  func() bool // Reports whether the call has not ended.
	waiting prometheus.Gauge
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// tap begins the wait. It returns the context of the call, which ends if the request is overdue. It refuses a call whose metadata is
// too long, in the way in which gRPC's library refuses a message that is.
func (r *requests) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if from, ok := peer.FromContext(ctx); ok && r.called != nil {
		r.called(from.Addr)
	}
	if HeaderSize(info.Header) > MaxHeader {
		return nil, reason.MetadataTooLong.Err()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	r.waiting.Inc()
	timer := time.AfterFunc(RequestTimeout, func() { cancel(errOverdue) })
	stay := context.AfterFunc(r.stopping, func() { cancel(errStopping) })
	if !ours(info.FullMethodName) { // A stream of health or reflection has no end of its own.
		context.AfterFunc(ctx, func() { stay() })
		stay = func() bool { return false }
	}
	forget := context.AfterFunc(ctx, func() {
		timer.Stop()
		stay()
		r.waiting.Dec()
		if errors.Is(context.Cause(ctx), errOverdue) {
			r.overdue.Inc()
		}
	})
	return context.WithValue(ctx, requestKey{}, &request{timer, stay, forget, r.waiting}), nil
}

// hold stops the clock while the server is busy with something else than reading, and resume starts it from zero.
func (r *request) hold() {
	if r != nil {
		r.timer.Stop()
	}
}

func (r *request) resume() {
	if r != nil {
		r.timer.Reset(RequestTimeout)
	}
}

// arrived ends the wait. A second call does nothing.
func (r *request) arrived() {
	if r == nil || !r.timer.Stop() {
		return
	}
	r.stay()
	if r.forget() {
		r.waiting.Dec()
	}
}

// HeaderSize is the size of metadata or of an HTTP header, counted as in HTTP/2 (RFC 9113, 6.5.2).
func HeaderSize(header map[string][]string) int {
	const perField = 32
	size := 0
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + perField
		}
	}
	return size
}
