package rpcserver

import (
	"sync"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/codes"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// metrics count calls under the usual names and labels of gRPC servers, and the outcomes of failed calls. Unknown
// methods are not counted, so all label values are known in advance.
type metrics struct {
	started, handled, failures *prometheus.CounterVec
	seconds                    *prometheus.HistogramVec

	methods sync.Map // Of method to *series: a look-up by labels costs more.
}

// series are those of one method.
type series struct {
	method  string
	ours    bool // See the function.
	started prometheus.Counter
	handled *prometheus.CounterVec // By code.
	ok      prometheus.Counter     // Of handled, with code OK. Set by the first such call.
	okOnce  sync.Once
	seconds prometheus.Observer // Nil for streams and waits.
}

func (s *series) code(code codes.Code) prometheus.Counter {
	if code != codes.OK {
		return s.handled.WithLabelValues(code.String())
	}
	s.okOnce.Do(func() { s.ok = s.handled.WithLabelValues(code.String()) })
	return s.ok
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
			Name: "grpc_server_handling_seconds", Help: "Duration of unary calls, except WaitTask and WaitOperation.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25},
		}, []string{"grpc_type", "grpc_service", "grpc_method"}),
	}
	for _, outcome := range reason.Outcomes() { // A series at 0 makes its first event visible to rate().
		all.failures.WithLabelValues(outcome.Name)
	}
	return all
}

// waits are the unary methods that last as long as a watch. Their requests to KooDrive are shared, as a watch's are, so their
// duration says nothing about kootask or KooDrive.
var waits = map[string]bool{
	taskv1.TaskService_WaitTask_FullMethodName:            true,
	longrunningpb.Operations_WaitOperation_FullMethodName: true,
}

// Values of the label grpc_type.
const (
	unaryCall  = "unary"
	streamCall = "server_stream"
)

func (m *metrics) end(of *series, took time.Duration, failure *reason.Error, code codes.Code) {
	of.code(code).Inc()
	if failure != nil {
		m.failures.WithLabelValues(failure.Outcome.Name).Inc()
	}
	if of.seconds != nil {
		of.seconds.Observe(took.Seconds())
	}
}

// of returns the series of a method.
func (m *metrics) of(kind, fullMethod string) *series {
	if known, ok := m.methods.Load(fullMethod); ok {
		return known.(*series)
	}
	service, method := split(fullMethod)
	labels := prometheus.Labels{"grpc_type": kind, "grpc_service": service, "grpc_method": method}
	of := &series{
		method: fullMethod, ours: ours(fullMethod),
		started: m.started.With(labels), handled: m.handled.MustCurryWith(labels),
	}
	if kind == unaryCall && !waits[fullMethod] {
		of.seconds = m.seconds.With(labels)
	}
	known, _ := m.methods.LoadOrStore(fullMethod, of)
	return known.(*series)
}
