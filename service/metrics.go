package service

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"google.golang.org/grpc/codes"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// metrics are what an operator sees of the service. No label has a value that comes from a request or from KooDrive.
type metrics struct {
	watchers, sends                      prometheus.Gauge
	watchEnds, strikes, limitReached     *prometheus.CounterVec
	requests, withheld, retries, unknown *prometheus.CounterVec
	observations                         *prometheus.CounterVec
	regressions                          prometheus.Counter
	permitWait, requestSeconds           prometheus.Histogram
	pollLag, changeDelivery              prometheus.Histogram
}

// seconds are the buckets of everything that KooDrive's timeout, 10 s, or the wait for a turn may make long.
var seconds = []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

func newMetrics(registerer prometheus.Registerer) *metrics {
	m := promauto.With(registerer)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return m.NewCounterVec(prometheus.CounterOpts{Name: "kootask_" + name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return m.NewGauge(prometheus.GaugeOpts{Name: "kootask_" + name, Help: help})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return m.NewHistogram(prometheus.HistogramOpts{Name: "kootask_" + name, Help: help, Buckets: seconds})
	}
	all := &metrics{
		watchers:  gauge("watchers", "Open watches."),
		sends:     gauge("sends", "Messages of watches being sent. A message that stays here waits for a client that does not read."),
		watchEnds: counter("watch_ends_total", "Ended watches, by the reason that the client saw. OK: the task is finished.", "reason"),
		strikes:   counter("watch_strikes_total", "Failed polls that end a watch when they are repeated, by outcome.", "outcome"),
		limitReached: counter("limit_reached_total",
			"Calls and watches refused because of a limit, by the flag that sets it. queue: no free slot for a request in time.", "limit"),
		requests: counter("upstream_requests_total", "Completed requests to KooDrive, by outcome.", "outcome"),
		withheld: counter("upstream_withheld_total",
			"Requests to KooDrive that were not made, because a circuit breaker is open or KooDrive sent Retry-After, by outcome.", "outcome"),
		retries: counter("retries_total",
			"Transient failures of GetTask, by whether the retry budget granted a retry.", "granted"),
		unknown:      counter("unknown_values_total", "Answers of KooDrive with a value that the contract does not list, by field.", "field"),
		observations: counter("observations_total", "Answers to calls and polls, by source: fresh (an own request), joined (a request already in flight) or memory.", "source"),
		regressions: m.NewCounter(prometheus.CounterOpts{
			Name: "kootask_state_regressions_total", Help: "States that were held back because they precede the known state.",
		}),
		permitWait:     histogram("upstream_queue_wait_seconds", "Time that requests to KooDrive waited for a slot."),
		requestSeconds: histogram("upstream_request_seconds", "Duration of requests to KooDrive."),
		pollLag:        histogram("poll_lag_seconds", "Delay of polls behind their schedule."),
		changeDelivery: histogram("change_delivery_seconds", "Time from KooDrive's answer with a change until a watch is sent the change."),
	}
	all.begin()
	return all
}

// begin makes the series that there can be: one that appears with its first event hides that event from whoever looks at
// the rate.
func (m *metrics) begin() {
	for _, outcome := range reason.Outcomes() {
		m.watchEnds.WithLabelValues(endName(&reason.Error{Outcome: outcome}))
	}
	m.watchEnds.WithLabelValues(endName(nil))
	for _, name := range []string{codes.OK.String(), reason.CallerCancelled.Name, reason.CallerDeadline.Name} {
		m.requests.WithLabelValues(name)
	}
	for _, outcome := range reason.KooDriveOutcomes() {
		m.requests.WithLabelValues(outcome.Name)
		if outcome.Tolerance() != reason.Unlimited {
			m.strikes.WithLabelValues(outcome.Name)
		}
	}
	for vector, values := range map[*prometheus.CounterVec][]string{
		m.limitReached: {limitTurn, limitPerCredential, limitInAll, limitPerPeer, limitPerUser},
		m.withheld:     {reason.UpstreamCircuitOpen.Name, reason.UpstreamRateLimited.Name, reason.UpstreamUnavailable.Name},
		m.retries:      {strconv.FormatBool(true), strconv.FormatBool(false)},
		m.unknown:      {fieldStatus, fieldTaskType, fieldResultCode},
		m.observations: slices.Collect(maps.Values(sources)),
	} {
		for _, value := range values {
			vector.WithLabelValues(value)
		}
	}
}

// Limits, by the flag that sets them, if it is one alone.
const (
	limitTurn          = "queue" // That of --upstream-rps and --upstream-concurrency together.
	limitPerCredential = "max-tasks-per-credential"
	limitInAll         = "max-tasks"
	limitPerPeer       = "new-tasks-per-peer"
	limitPerUser       = "app-rps-per-user"
)

// Fields of KooDrive's whose numbers the contract lists.
const (
	fieldStatus     = "status"
	fieldTaskType   = "task_type"
	fieldResultCode = "result_code"
)

// expose registers what is read from the parts of the service when it is asked for.
func (s *Service) expose(registerer prometheus.Registerer) {
	m := promauto.With(registerer)
	gauge := func(name, help string, value func() float64) {
		m.NewGaugeFunc(prometheus.GaugeOpts{Name: "kootask_" + name, Help: help}, value)
	}
	gauge("watched_tasks", "Watched tasks. Each is polled once, however many watch it.",
		func() float64 { return float64(s.hub.Keys()) })
	gauge("oldest_confirmation_seconds", "Age of the oldest last answer among watched tasks.",
		func() float64 { return s.hub.Silence().Seconds() })
	gauge("upstream_requests_in_flight", "Requests to KooDrive in flight.",
		func() float64 { return float64(s.upstream.Stats().UnderWay) })
	gauge("upstream_requests_queued", "Requests to KooDrive that wait for a slot.",
		func() float64 { return float64(s.upstream.Stats().Waiting) })
	gauge("upstream_caller_circuits_open", "Open circuit breakers of single callers and addresses.",
		func() float64 { return float64(s.upstream.Stats().OpenCircuits) })
	gauge("upstream_circuit_open", "1 while the common circuit breaker is open: KooDrive fails for most callers, or for its only active caller.", func() float64 {
		if s.upstream.Stats().Resting {
			return 1
		}
		return 0
	})
	gauge("upstream_clock_skew_seconds", "Estimated lead of KooDrive's clock over this one.",
		func() float64 { return s.upstream.Stats().Skew.Seconds() })
}

// watched counts a watch until the func that it returns is called with the watch's end.
func (m *metrics) watched() (ended func(error)) {
	m.watchers.Inc()
	return func(err error) {
		m.watchers.Dec()
		m.watchEnds.WithLabelValues(endName(err)).Inc()
	}
}

// endName is the reason of a watch's end: OK, or CANCELLED where the client has left.
func endName(err error) string {
	if err == nil {
		return codes.OK.String()
	}
	if name := reason.Of(err).Reason(); name != "" {
		return name
	}
	return "CANCELLED"
}

// limited counts a call or a watch that met a limit, by the flag that sets it.
func (m *metrics) limited(flag string) { m.limitReached.WithLabelValues(flag).Inc() }

// retried counts a call for which a retry was wanted.
func (m *metrics) retried(granted bool) {
	m.retries.WithLabelValues(strconv.FormatBool(granted)).Inc()
}

var sources = map[observe.Source]string{observe.Fresh: "fresh", observe.Joined: "joined", observe.Memory: "memory"}

// observed counts an answer.
func (m *metrics) observed(source observe.Source) {
	m.observations.WithLabelValues(sources[source]).Inc()
}

// timed measures what becomes of q, which ctx's flight asks: its wait, its request or two, and that it was not made.
func (s *Service) timed(
	ctx context.Context, q upstream.Query, begun func(),
) (measured upstream.Query, done func(upstream.Task, error)) {
	since, requests, waited := time.Now(), 0, time.Duration(0)
	if q.Trace == (upstream.TraceID{}) { // Otherwise it would be made up where the log does not see it.
		_, _ = rand.Read(q.Trace[:])
	}
	observe.Enter(ctx, observe.Queued)
	q.Begun = func() {
		observe.Enter(ctx, observe.Sent)
		waited = time.Since(since)
		s.metrics.permitWait.Observe(waited.Seconds())
		since = time.Now()
		begun()
	}
	q.Ended = func(err error) {
		observe.Enter(ctx, observe.Queued)
		requests++
		took, outcome := time.Since(since), s.outcomeName(err)
		s.metrics.requestSeconds.Observe(took.Seconds())
		s.metrics.requests.WithLabelValues(outcome).Inc()
		if s.log.Enabled(ctx, slog.LevelDebug) {
			s.logRequest(ctx, q, err, took, waited)
		}
		since = time.Now()
	}
	return q, func(task upstream.Task, err error) {
		observe.Enter(ctx, observe.Idle)
		switch {
		case err == nil:
			s.metrics.unlisted(task)
		case requests > 0:
		case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded): // The turn did not come.
			s.metrics.permitWait.Observe(time.Since(since).Seconds())
		default:
			s.metrics.withheld.WithLabelValues(s.outcomeName(err)).Inc()
		}
	}
}

// logRequest writes the line of a request to KooDrive that has ended. An error's text is the one that a call's line has.
func (s *Service) logRequest(ctx context.Context, q upstream.Query, err error, took, waited time.Duration) {
	attrs := []slog.Attr{
		slog.String("task_id", q.TaskID),
		slog.String("trace_id", hex.EncodeToString(q.Trace[:])),
		slog.String("outcome", s.outcomeName(err)),
		slog.Float64("seconds", took.Seconds()),
		slog.Float64("wait_seconds", waited.Seconds()),
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", s.outcome(err).Error()))
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "koodrive request", attrs...)
}

func (s *Service) outcomeName(err error) string {
	if err == nil {
		return codes.OK.String()
	}
	return s.outcome(err).Outcome.Name
}

// unlisted counts the numbers of t that the contract does not list.
func (m *metrics) unlisted(t upstream.Task) {
	for field, unlisted := range map[string]bool{
		fieldStatus:     toStatus(t.Status) == taskv1.TaskStatus_TASK_STATUS_UNSPECIFIED,
		fieldTaskType:   t.Type != nil && toType(t.Type) == taskv1.TaskType_TASK_TYPE_UNSPECIFIED,
		fieldResultCode: t.ResultCode != "" && toResultCode(t.ResultCode) == taskv1.ResultCode_RESULT_CODE_UNSPECIFIED,
	} {
		if unlisted {
			m.unknown.WithLabelValues(field).Inc()
		}
	}
}
