package rpcserver

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/service/reason"
)

// metrics count calls under the usual names and labels of gRPC servers, and the outcomes of failed calls. Unknown
// methods are not counted, so all label values are known in advance.
type metrics struct {
	started, handled, failures *prometheus.CounterVec
	seconds                    *prometheus.HistogramVec
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := promauto.With(registerer)
	all := &metrics{
		started: m.NewCounterVec(prometheus.CounterOpts{
			Name: "grpc_server_started_total", Help: "Started calls.",
		}, []string{"grpc_type", "grpc_service", "grpc_method"}),
		handled: m.NewCounterVec(prometheus.CounterOpts{
			Name: "grpc_server_handled_total", Help: "Completed calls, by code.",
		}, []string{"grpc_type", "grpc_service", "grpc_method", "grpc_code"}),
		failures: m.NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_failures_total", Help: "Failed calls, by the outcome that their log line has.",
		}, []string{"outcome"}),
		seconds: m.NewHistogramVec(prometheus.HistogramOpts{
			Name: "grpc_server_handling_seconds", Help: "Duration of unary calls.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25},
		}, []string{"grpc_type", "grpc_service", "grpc_method"}),
	}
	for _, outcome := range reason.Outcomes() { // A series at 0 makes its first event visible to rate().
		all.failures.WithLabelValues(outcome.Name)
	}
	return all
}

// Values of the label grpc_type.
const (
	unaryCall  = "unary"
	streamCall = "server_stream"
)

func (m *metrics) begin(call *call) {
	m.started.WithLabelValues(call.labels()...).Inc()
}

func (m *metrics) end(call *call, failure *reason.Error, code codes.Code) {
	m.handled.WithLabelValues(append(call.labels(), code.String())...).Inc()
	if failure != nil {
		m.failures.WithLabelValues(failure.Outcome.Name).Inc()
	}
	if call.kind == unaryCall {
		m.seconds.WithLabelValues(call.labels()...).Observe(time.Since(call.start).Seconds())
	}
}

// labels returns the label values of a call's method.
func (c *call) labels() []string {
	service, method, _ := strings.Cut(strings.TrimPrefix(c.method, "/"), "/")
	return []string{c.kind, service, method}
}
