// Package logging writes the log of a service that must not block on it. Lines are queued, up to a limit, for a writer
// goroutine. A reader that is slow, stuck or gone delays nobody; lines that do not fit are dropped and counted. Lines
// about failed calls are sampled by address, so that one client cannot fill the disk. The package does not check the
// content of lines.
//
//	log := logging.New(os.Stderr, func(to io.Writer) slog.Handler { return logging.JSON(to, slog.LevelInfo) })
//	log.Info("serving")
//	…
//	log.Flush(time.Second)
package logging

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/service/auth"
)

// kind is the kind of a line, which decides its place in the queue.
type kind int

const (
	// other lines are for the operator, about starting, stopping and files.
	other kind = iota
	// call lines are about a client, identified by the attribute peer.
	call
	// audit lines are decisions about callers. They are never sampled, and part of the queue is reserved for them.
	audit

	kinds
)

// kindNames are the values of the metric's label.
var kindNames = [kinds]string{"other", "call", "audit"}

// Attributes that sampling uses.
const (
	attrPeer    = "peer"
	attrOutcome = "outcome"
)

// Log is a logger, and a [prometheus.Collector] of the lines that it has dropped. It is safe for concurrent use.
type Log struct {
	*slog.Logger
	sampler *sampler
	queue   *queue
}

// New returns a Log that writes to a file. format returns the handler that formats the lines. Lines are written by one
// goroutine, which only exists while there are lines to write.
func New(to io.Writer, format func(io.Writer) slog.Handler) *Log {
	queue := &queue{to: to, notice: func(lost counts) []byte {
		var line bytes.Buffer
		attrs := make([]slog.Attr, 0, kinds)
		for k, n := range lost {
			attrs = append(attrs, slog.Int(kindNames[k], n))
		}
		slog.New(format(&line)).LogAttrs(context.Background(), slog.LevelWarn, "log lines dropped", attrs...)
		return line.Bytes()
	}}
	h := handler{}
	for k := range h.to {
		h.to[k] = format(entrance{queue, kind(k)})
	}
	h.sampler = newSampler(h.to[call])
	return &Log{Logger: slog.New(h), sampler: h.sampler, queue: queue}
}

// Flush waits until all lines are written, for at most limit. It reports whether they are.
func (l *Log) Flush(limit time.Duration) bool {
	l.sampler.report()
	return l.queue.flush(limit)
}

var droppedMetric = prometheus.NewDesc("kootask_log_dropped_total",
	"Log lines that were not written, because the queue was full or writing failed, by kind: call, audit or other.",
	[]string{"kind"}, nil)

// Describe implements prometheus.Collector.
func (l *Log) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- droppedMetric }

// Collect implements prometheus.Collector.
func (l *Log) Collect(metrics chan<- prometheus.Metric) {
	for k, n := range l.queue.droppedLines() {
		metrics <- prometheus.MustNewConstMetric(droppedMetric, prometheus.CounterValue, float64(n), kindNames[k])
	}
}

// handler passes lines to the handler of their kind, unless the sampler refuses them.
type handler struct {
	sampler *sampler
	to      [kinds]slog.Handler // By kind. Each writes to the queue.
}

// Enabled implements slog.Handler.
func (h handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to[other].Enabled(ctx, level)
}

// Handle implements slog.Handler. It never blocks on the file.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	k, of := classify(r)
	if k == call && of.outcome != "" && !h.sampler.admits(of, r.Level) {
		return nil
	}
	return h.to[k].Handle(ctx, r)
}

// classify returns the kind of a line. For a call, it also returns the peer and the outcome.
func classify(r slog.Record) (k kind, of source) {
	if r.Message == auth.AuditMessage {
		return audit, source{}
	}
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case attrPeer:
			k, of.peer = call, a.Value.String()
		case attrOutcome:
			of.outcome = a.Value.String()
		}
		return true
	})
	return k, of
}

// WithAttrs implements slog.Handler.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for k := range h.to {
		h.to[k] = h.to[k].WithAttrs(attrs)
	}
	return h
}

// WithGroup implements slog.Handler.
func (h handler) WithGroup(name string) slog.Handler {
	for k := range h.to {
		h.to[k] = h.to[k].WithGroup(name)
	}
	return h
}
