// Package reload keeps up with files that are replaced while the process runs: certificates, keys, policies. What was read
// last and is good stays in use whatever becomes of its files, and the log and a metric say that they are no good any more.
//
// Files are read again and again, and compared by what is in them. Their times and the file system's events say less: a
// mounted volume is changed by swapping a link, and a copy may keep its time.
//
//	files := &reload.Files{Log: log}
//	policy, err := reload.Read(files, "policy", []string{"policy.yaml"}, parse)
//	…
//	go files.Follow(ctx)
//	policy() // As the file is now.
package reload

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Interval is how often files are looked at. A change counts when two looks have found the same.
const Interval = 5 * time.Second

// Files are all that are kept up with. The zero Files has none.
type Files struct {
	// Log gets a line for each change, good or bad. Nil: there is none.
	Log *slog.Logger

	all []*followed
}

// followed are files that are read together.
type followed struct {
	what  string
	paths []string
	last  [][]byte                      // What was taken last, good or bad. Only Follow's after Read, as is seen.
	seen  [][]byte                      // What was in them at the last look.
	take  func(contents [][]byte) error // Makes it count, if it is good.

	mu       sync.Mutex
	failed   bool // The last change was no good. Guarded by mu, as is reloaded.
	reloaded int
}

// Read returns how to get what some files say now, by a name for the log and the metrics. It fails if they cannot be read, or
// parse refuses what is in them. What parse's errors say is logged. Read all files before Follow.
func Read[T any](files *Files, what string, paths []string, parse func(contents [][]byte) (T, error)) (func() T, error) {
	var now atomic.Pointer[T]
	f := &followed{what: what, paths: paths, take: func(contents [][]byte) error {
		value, err := parse(contents)
		if err == nil {
			now.Store(&value)
		}
		return err
	}}
	contents, err := f.read()
	if err != nil {
		return nil, err
	}
	if err := f.take(contents); err != nil {
		return nil, err
	}
	f.last, f.seen = contents, contents
	files.all = append(files.all, f)
	return func() T { return *now.Load() }, nil
}

// Follow looks at the files until ctx ends.
func (s *Files) Follow(ctx context.Context) {
	if len(s.all) == 0 {
		return
	}
	ticker := time.NewTicker(Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, f := range s.all {
			s.look(ctx, f)
		}
	}
}

// look takes what has changed, if it was so at the look before: what is being written may look whole, and be half. A pair of
// files that is replaced one after the other is no good in between, and good later.
func (s *Files) look(ctx context.Context, f *followed) {
	contents, err := f.read()
	settled := err == nil && slices.EqualFunc(contents, f.seen, bytes.Equal)
	f.seen = contents
	if err == nil && (!settled || slices.EqualFunc(contents, f.last, bytes.Equal)) {
		return
	}
	if err == nil {
		err = f.take(contents)
	}
	f.last = contents // Also if it is no good: it is then not tried, and told of, again and again.
	f.mu.Lock()
	known := f.failed
	f.failed = err != nil
	if err == nil {
		f.reloaded++
	}
	f.mu.Unlock()
	switch {
	case s.Log == nil || err != nil && known && contents == nil:
	case err != nil:
		s.Log.LogAttrs(ctx, slog.LevelError, "files are no good: what was read before stays in use",
			slog.String("files", f.what), slog.String("error", err.Error()))
	default:
		s.Log.LogAttrs(ctx, slog.LevelInfo, "files read anew", slog.String("files", f.what))
	}
}

// read returns what is in the files, nil if one cannot be read.
func (f *followed) read() ([][]byte, error) {
	var contents [][]byte
	for _, path := range f.paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		contents = append(contents, content)
	}
	return contents, nil
}

var (
	failedMetric = prometheus.NewDesc("kootask_files_failed",
		"1 while what is in some files is no good, and what was read before is in use.", []string{"files"}, nil)
	reloadsMetric = prometheus.NewDesc("kootask_files_reloads_total",
		"How often some files were read anew.", []string{"files"}, nil)
)

// Describe implements prometheus.Collector.
func (s *Files) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- failedMetric
	descriptions <- reloadsMetric
}

// Collect implements prometheus.Collector.
func (s *Files) Collect(metrics chan<- prometheus.Metric) {
	for _, f := range s.all {
		f.mu.Lock()
		failed, reloaded := 0.0, float64(f.reloaded)
		if f.failed {
			failed = 1
		}
		f.mu.Unlock()
		metrics <- prometheus.MustNewConstMetric(failedMetric, prometheus.GaugeValue, failed, f.what)
		metrics <- prometheus.MustNewConstMetric(reloadsMetric, prometheus.CounterValue, reloaded, f.what)
	}
}
