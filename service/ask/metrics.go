package ask

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// metrics are the metrics of the requests to KooDrive. No label has a value that comes from a request or from KooDrive.
type metrics struct {
	requests, withheld, retries, observations *prometheus.CounterVec
	queueWait, requestSeconds, pollLag        prometheus.Histogram
	answered                                  prometheus.Counter                    // The requests that brought a task.
	observed                                  map[observe.Source]prometheus.Counter // Of observations.
}

// seconds are the buckets of durations that upstream.DefaultTimeout or the wait in a queue limits.
var seconds = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

func newMetrics(registerer prometheus.Registerer, client *upstream.Client) *metrics {
	m := promauto.With(registerer)
	counter := func(name, help string, label string) *prometheus.CounterVec {
		return m.NewCounterVec(prometheus.CounterOpts{Name: "kootask_" + name, Help: help}, []string{label})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return m.NewHistogram(prometheus.HistogramOpts{Name: "kootask_" + name, Help: help, Buckets: seconds})
	}
	gauge := func(name, help string, value func(upstream.Stats) float64) {
		opts := prometheus.GaugeOpts{Name: "kootask_" + name, Help: help}
		m.NewGaugeFunc(opts, func() float64 { return value(client.Stats()) })
	}
	gauge("upstream_requests_in_flight", "Requests to KooDrive in flight.",
		func(s upstream.Stats) float64 { return float64(s.InFlight) })
	gauge("upstream_requests_queued", "Requests to KooDrive that wait for a slot.",
		func(s upstream.Stats) float64 { return float64(s.Queued) })
	gauge("upstream_caller_circuits_open", "Open circuit breakers of single callers and addresses.",
		func(s upstream.Stats) float64 { return float64(s.OpenCircuits) })
	gauge("upstream_circuit_open",
		"1 during an outage: the common circuit breaker is open, or that of a caller while no other caller succeeds. "+
			"It begins with at least 20 requests within 10 s, and lasts until a request succeeds.",
		func(s upstream.Stats) float64 {
			if s.Down {
				return 1
			}
			return 0
		})
	gauge("upstream_clock_skew_seconds", "Estimated lead of KooDrive's clock over this one.",
		func(s upstream.Stats) float64 { return s.Skew.Seconds() })
	all := &metrics{
		requests: counter("upstream_requests_total", "Completed requests to KooDrive, by outcome.", "outcome"),
		withheld: counter("upstream_withheld_total",
			"Requests to KooDrive that were not made, because a circuit breaker is open or KooDrive sent Retry-After, "+
				"by outcome.", "outcome"),
		retries: counter("retries_total",
			"Transient failures of GetTask, by whether the retry budget granted a retry.", "granted"),
		observations: counter("observations_total",
			"Answers to calls and polls, by source: fresh (an own request), joined (a request already in flight) or memory.",
			"source"),
		queueWait:      histogram("upstream_queue_wait_seconds", "Time that requests to KooDrive waited for a slot."),
		requestSeconds: histogram("upstream_request_seconds", "Duration of requests to KooDrive."),
		pollLag:        histogram("poll_lag_seconds", "Delay of polls behind their schedule."),
	}
	all.begin()
	return all
}

// begin creates every possible series at 0: a series that appears with its first event hides that event from rate().
func (m *metrics) begin() {
	m.answered = m.requests.WithLabelValues(codes.OK.String())
	for _, name := range []string{reason.CallerCancelled.Name, reason.CallerDeadline.Name} {
		m.requests.WithLabelValues(name)
	}
	for _, outcome := range reason.KooDriveOutcomes() {
		m.requests.WithLabelValues(outcome.Name)
	}
	for _, outcome := range []reason.Outcome{reason.UpstreamCircuitOpen, reason.UpstreamRateLimited, reason.UpstreamUnavailable} {
		m.withheld.WithLabelValues(outcome.Name)
	}
	for _, granted := range []bool{true, false} {
		m.retries.WithLabelValues(strconv.FormatBool(granted))
	}
	m.observed = map[observe.Source]prometheus.Counter{
		observe.Fresh:  m.observations.WithLabelValues("fresh"),
		observe.Joined: m.observations.WithLabelValues("joined"),
		observe.Memory: m.observations.WithLabelValues("memory"),
	}
}

// retried counts a call that wanted a retry.
func (m *metrics) retried(granted bool) {
	m.retries.WithLabelValues(strconv.FormatBool(granted)).Inc()
}

// ended counts a request that has ended; nil stands for a task.
func (m *metrics) ended(failure *reason.Error) {
	if failure == nil {
		m.answered.Inc()
		return
	}
	m.requests.WithLabelValues(failure.Outcome.Name).Inc()
}
