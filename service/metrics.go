package service

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/service/reason"
)

// metrics are the metrics of the watches. No label has a value that comes from a request or from KooDrive.
type metrics struct {
	watchers, watchStreams      prometheus.Gauge
	watchEnds, strikes, unknown *prometheus.CounterVec
	regressions                 prometheus.Counter
	changeDelivery              prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := promauto.With(registerer)
	counter := func(name, label, help string) *prometheus.CounterVec {
		return m.NewCounterVec(prometheus.CounterOpts{Name: "kootask_" + name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return m.NewGauge(prometheus.GaugeOpts{Name: "kootask_" + name, Help: help})
	}
	all := &metrics{
		watchers:     gauge("watchers", "Watches and waits in flight. A stream of several tasks counts once for each of them."),
		watchStreams: gauge("watch_streams", "Open streams of watches."),
		watchEnds: counter("watch_ends_total", "reason",
			"Ended watches and waits, by the reason that the client saw. OK: the task is finished, or the wait is over."),
		strikes: counter("watch_strikes_total", "outcome",
			"Failed polls that end a watch when they are repeated, by outcome."),
		unknown: counter("unknown_values_total", "field",
			"Answers of KooDrive with a value that the contract does not list, by field."),
		regressions: m.NewCounter(prometheus.CounterOpts{
			Name: "kootask_state_regressions_total", Help: "States that were held back because they precede the known state.",
		}),
		changeDelivery: m.NewHistogram(prometheus.HistogramOpts{
			Name:    "kootask_change_delivery_seconds",
			Help:    "Time from KooDrive's answer with a change until a watch is sent the change.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}),
	}
	all.begin()
	return all
}

// begin creates every possible series at 0: a series that appears with its first event hides that event from rate().
func (m *metrics) begin() {
	for _, outcome := range reason.Outcomes() {
		m.watchEnds.WithLabelValues(endName(&reason.Error{Outcome: outcome}))
	}
	m.watchEnds.WithLabelValues(endName(nil))
	for _, outcome := range reason.KooDriveOutcomes() {
		if outcome.Tolerance() != reason.Unlimited {
			m.strikes.WithLabelValues(outcome.Name)
		}
	}
	for _, field := range []string{fieldStatus, fieldTaskType, fieldResultCode} {
		m.unknown.WithLabelValues(field)
	}
}

// expose registers the metrics that are read from the parts of the service at each scrape.
func (s *Service) expose(registerer prometheus.Registerer) {
	m := promauto.With(registerer)
	gauge := func(name, help string, value func() float64) {
		m.NewGaugeFunc(prometheus.GaugeOpts{Name: "kootask_" + name, Help: help}, value)
	}
	gauge("watched_tasks", "Watched tasks. Each is polled once, however many watch it.",
		func() float64 { return float64(s.hub.Keys()) })
	gauge("sends_stuck", "Messages of watches that wait for a client that does not read.",
		func() float64 { return float64(s.senders.Stuck()) })
	gauge("oldest_confirmation_seconds", "Age of the oldest last answer among watched tasks.",
		func() float64 { return s.hub.Silence().Seconds() })
}

// ended counts the end of a watch that was counted in watchers.
func (m *metrics) ended(err error) {
	m.watchers.Dec()
	m.watchEnds.WithLabelValues(endName(err)).Inc()
}

// endName returns the label of a watch's end: OK, the public reason, or CANCELLED if the client has left.
func endName(err error) string {
	if err == nil {
		return codes.OK.String()
	}
	if name := reason.Of(err).Reason(); name != "" {
		return name
	}
	return "CANCELLED"
}
