// Package reload reloads files that change while the process runs: certificates, keys, secrets and policies. An invalid
// file is ignored and logged, and sets a metric; the previous version stays in use.
//
// Files are read and validated at intervals, and compared by content. Modification times and file system events are not
// reliable: a mounted volume is changed by swapping a link, and a copy may keep its time. Unchanged files are validated
// again, because the result may depend on the clock.
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

	"github.com/kootask/kootask/cmd/kootask/credfile"
)

// Interval is the time between two reads of a file. A change takes effect once two consecutive reads agree.
const Interval = 5 * time.Second

// Settle is the minimum time between two reads, even after a Reread: a file that is being written must not be mistaken
// for a finished one.
const Settle = time.Second

// Files is a set of files to reload. The zero Files is empty.
type Files struct {
	// Log gets a line for each change, valid or invalid. Nil: no log.
	Log *slog.Logger
	// Reread makes Follow read the files at once, and again after Settle. Nil: only at intervals.
	Reread <-chan os.Signal
	// Rereading is called with true when a Reread begins, and with false once the files are read and valid changes are in
	// use. If another Reread begins before that, only the last one ends. Follow waits for it. Nil: it is not called.
	Rereading func(begins bool)
	// Fixed names files that were read at the start only. The line about a Reread says that they need a restart.
	Fixed []string

	all []*followed
}

// followed is a group of files that are read together. Fields without a lock are used by Read, and then by Follow
// alone.
type followed struct {
	what    string
	paths   []string
	readers []*credfile.Reader       // One for each path.
	moved   atomic.Pointer[[]string] // Paths that follow uses from its next read on; nil: unchanged.
	last    [][]byte                 // The content that was validated last; nil if a file could not be read.
	seen    [][]byte                 // The content at the last read.
	reread  chan int                 // Capacity 1: the number of a Reread requests a read at once. Never closed.
	// judge validates the content. It returns a function that puts it to use.
	judge func(contents [][]byte) (use func(), err error)

	mu       sync.Mutex
	failure  string // Why the content is invalid; empty if it is valid. Guarded by mu, as is reloaded. Only look sets them.
	reloaded int
}

// Read reads a group of files, and returns a function for its current value. what is its name in the log and the
// metrics. It fails if the files cannot be read in time or if parse fails. The errors of parse are logged. The result
// of parse must depend only on the content; its failure may also depend on the clock, and name the files. Call Read
// before Follow.
func Read[T any](files *Files, what string, paths []string, parse func(contents []credfile.File) (T, error)) (func() T, error) {
	var now atomic.Pointer[T]
	f := &followed{what: what, reread: make(chan int, 1)}
	f.judge = func(contents [][]byte) (func(), error) {
		all := make([]credfile.File, len(contents))
		for i, content := range contents {
			all[i] = credfile.File{Name: f.paths[i], Content: content}
		}
		value, err := parse(all)
		return func() { now.Store(&value) }, err
	}
	f.open(paths)
	contents, err := f.read(context.Background())
	if err != nil {
		return nil, err
	}
	use, err := f.judge(contents)
	if err != nil {
		return nil, err
	}
	use()
	f.last, f.seen = contents, contents
	files.all = append(files.all, f)
	return func() T { return *now.Load() }, nil
}

// open sets the paths of the files.
func (f *followed) open(paths []string) {
	f.paths, f.readers = paths, nil
	for _, path := range paths {
		f.readers = append(f.readers, credfile.NewReader(path))
	}
}

// Move makes Follow read files at other paths: those of the groups in to that have the same names. Their content is
// validated like any change, and takes effect after the next reads. Groups that to lacks, or that have another number of
// files there, stay. to must not be followed itself. It is safe to call during Follow.
func (s *Files) Move(to *Files) {
	for _, f := range s.all {
		for _, other := range to.all {
			if other.what == f.what && len(other.paths) == len(f.paths) {
				f.moved.Store(&other.paths)
			}
		}
	}
}

// Follow rereads the files until ctx ends. A file that hangs delays neither the others nor the end.
func (s *Files) Follow(ctx context.Context) {
	if len(s.all) == 0 && s.Reread == nil {
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	settled := make(chan int) // Gets the number of a Reread when a group of files has been read twice for it.
	for _, f := range s.all {
		all.Go(func() { s.follow(ctx, f, settled) })
	}
	newest, reading := 0, 0 // The number of the last Reread, and of the groups that it waits for.
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.Reread:
			s.logReread(ctx)
			s.rereading(true)
			newest++
			reading = len(s.all)
			for _, f := range s.all {
				select {
				case <-f.reread: // An earlier request is still pending.
				default:
				}
				f.reread <- newest
			}
		case n := <-settled:
			if n != newest {
				continue
			}
			reading--
		}
		if reading == 0 {
			s.rereading(false)
		}
	}
}

// rereading reports the begin or the end of a Reread.
func (s *Files) rereading(begins bool) {
	if s.Rereading != nil {
		s.Rereading(begins)
	}
}

// follow rereads one group of files until ctx ends.
func (s *Files) follow(ctx context.Context, f *followed, settled chan<- int) {
	timer := time.NewTimer(Interval)
	defer timer.Stop()
	last, next := time.Now().Add(-Settle), Interval // Time of the last read, and time until the next one.
	requested := 0                                  // The number of the Reread that the reads are for; 0: none.
	for {
		select {
		case <-ctx.Done():
			return
		case requested = <-f.reread:
			timer.Reset(time.Until(last.Add(Settle)))
			next = Settle
		case <-timer.C:
			if paths := f.moved.Swap(nil); paths != nil {
				f.open(*paths)
				f.seen = nil // The next read is the first one of these files.
			}
			s.look(ctx, f)
			last = time.Now()
			if requested > 0 && next == Interval {
				select {
				case settled <- requested:
				case <-ctx.Done():
				}
				requested = 0
			}
			timer.Reset(next)
			next = Interval
		}
	}
}

// logReread logs a request to reread the files.
func (s *Files) logReread(ctx context.Context) {
	if s.Log == nil {
		return
	}
	names := []string{}
	for _, f := range s.all {
		names = append(names, f.what)
	}
	attrs := []slog.Attr{slog.Any("files", names)}
	if len(s.Fixed) > 0 {
		attrs = append(attrs, slog.Any("need_a_restart", s.Fixed))
	}
	s.Log.LogAttrs(ctx, slog.LevelInfo, "rereading files", attrs...)
}

// look reads the files and applies a change:
//  1. It waits until two consecutive reads agree: a file may look complete while it is being written, and a pair of
//     files is invalid while only one of them is replaced.
//  2. It validates the content, even if it has not changed.
//  3. If the content or the error is new, it puts a valid content to use, and logs the change.
func (s *Files) look(ctx context.Context, f *followed) {
	contents, err := f.read(ctx)
	if ctx.Err() != nil {
		return
	}
	settled := err != nil || slices.EqualFunc(contents, f.seen, bytes.Equal)
	f.seen = contents
	if !settled {
		return
	}
	var use func()
	if err == nil {
		use, err = f.judge(contents)
	}
	failure := ""
	if err != nil {
		failure = err.Error()
	}
	f.mu.Lock()
	known := f.failure
	f.mu.Unlock()
	news := failure != known || !slices.EqualFunc(contents, f.last, bytes.Equal)
	f.last = contents
	if !news {
		return
	}
	if err == nil {
		use()
	}
	f.mu.Lock()
	f.failure = failure
	if err == nil {
		f.reloaded++
	}
	f.mu.Unlock()
	s.report(ctx, f.what, failure, contents == nil && known != "")
}

// report logs a change. Invalid files that become unreadable are not logged again.
func (s *Files) report(ctx context.Context, what, failure string, stillInvalid bool) {
	switch {
	case s.Log == nil || stillInvalid:
	case failure != "":
		s.Log.LogAttrs(ctx, slog.LevelError, "reload failed, keeping previous files",
			slog.String("files", what), slog.String("error", failure))
	default:
		s.Log.LogAttrs(ctx, slog.LevelInfo, "files reloaded", slog.String("files", what))
	}
}

// read returns the content of the files. It fails if one of them cannot be read.
func (f *followed) read(ctx context.Context) ([][]byte, error) {
	var contents [][]byte
	for _, reader := range f.readers {
		content, err := reader.Read(ctx)
		if err != nil {
			return nil, err
		}
		contents = append(contents, content)
	}
	return contents, nil
}

var (
	failedMetric = prometheus.NewDesc("kootask_files_failed",
		"1 while files are invalid and their previous version is in use, by files: "+
			"tls, policy, app-secret, upstream-ca or oidc-ca.", []string{"files"}, nil)
	reloadsMetric = prometheus.NewDesc("kootask_files_reloads_total",
		"Reloads of changed files.", []string{"files"}, nil)
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
		if f.failure != "" {
			failed = 1
		}
		f.mu.Unlock()
		metrics <- prometheus.MustNewConstMetric(failedMetric, prometheus.GaugeValue, failed, f.what)
		metrics <- prometheus.MustNewConstMetric(reloadsMetric, prometheus.CounterValue, reloaded, f.what)
	}
}
