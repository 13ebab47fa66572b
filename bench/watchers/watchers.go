package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kootask/kootask/bench/result"
	"github.com/kootask/kootask/bench/task"
)

// The numbers of watches that are opened before earlier ones are open. A longer backlog of connections would be refused, and
// of more requests at once, some would take the server longer than it lets a request take.
const (
	ahead        = 200
	streamsAhead = 2000
)

// round is the change that is awaited.
type round struct {
	token []byte
	seen  *counter
	at    []time.Time // When the i-th watcher saw it.
}

func newRound(version, n int, failed <-chan struct{}) *round {
	return &round{token: []byte(task.Token(version)), seen: newCounter(failed), at: make([]time.Time, n)}
}

// hit notes that n watchers have seen the change.
func (r *round) hit(n int) {
	now, sum := time.Now(), r.seen.add(int64(n))
	for i := sum - int64(n); i < min(sum, int64(len(r.at))); i++ {
		r.at[i] = now
	}
}

// head returns the beginning of a message, which contains the token if any part does.
func head(message []byte) []byte { return message[:min(len(message), 512)] }

// watchers are all of them.
type watchers struct {
	options
	source     source
	opened     *counter
	now        atomic.Pointer[round] // Nil before the first one.
	heartbeats atomic.Int64
	ended      atomic.Int64
	stalled    atomic.Bool
	failed     chan struct{} // Closed when the first stream has ended.

	mu  sync.Mutex // Guards why.
	why string
}

func newWatchers(o options, from source) *watchers {
	failed := make(chan struct{})
	return &watchers{options: o, source: from, opened: newCounter(failed), failed: failed}
}

// end notes that a stream has ended.
func (w *watchers) end(why string) {
	w.ended.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.why == "" {
		w.why = why
		close(w.failed)
	}
}

func (w *watchers) reason() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.why
}

// who returns the task and the token of the i-th watcher.
func (w *watchers) who(i int) (id, token string) {
	if w.tasks {
		return fmt.Sprintf("%s-%06d", w.prefix, i), fmt.Sprintf("caller-%s-%d", w.prefix, i/w.perCaller)
	}
	return task.ID, "caller-0"
}

// open opens all watches, and returns the time that it took from the first request on.
func (w *watchers) open() (time.Duration, error) {
	open := map[string]func() (time.Time, error){
		"grpc": w.openGRPC, "etcd": w.openEtcd, "sse": w.openLines, "ndjson": w.openLines,
	}[w.kind]
	if open == nil {
		return 0, fmt.Errorf("unknown kind %q", w.kind)
	}
	began, err := open()
	if err == nil {
		err = w.awaitOpen(w.n)
	}
	return time.Since(began), err
}

// awaitOpen waits until n watches are open.
func (w *watchers) awaitOpen(n int) error {
	if !w.waitForOpen {
		return w.opened.await(int64(n))
	}
	for end := time.Now().Add(*patience); ; <-time.After(20 * time.Millisecond) {
		switch open, err := w.source.open(); {
		case err != nil:
			return err
		case open >= n:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%d of %d after %v", open, n, *patience)
		}
	}
}

// places returns the connection of each watcher.
func (w *watchers) places() []int {
	places := make([]int, w.n)
	for i := range places {
		places[i] = i * w.conns / w.n
	}
	if w.random {
		rand.Shuffle(w.n, func(i, j int) { places[i], places[j] = places[j], places[i] })
	}
	return places
}

// message notes a message to a watcher, except a heartbeat.
func (w *watchers) message(content []byte) {
	switch r := w.now.Load(); {
	case r != nil:
		if bytes.Contains(head(content), r.token) {
			r.hit(1)
		}
	case w.waitForFirst:
		w.opened.add(1)
	}
}

// run makes changes one after the other.
func (w *watchers) run(rounds int) (answer result.Watches, err error) {
	var p50, p99 []float64
	began := cpu()
	for range rounds {
		version := w.source.next()
		r := newRound(version, w.n, w.failed)
		w.now.Store(r)
		if err := w.source.change(version, w.pad); err != nil {
			return answer, err
		}
		if r.seen.await(int64(w.n)) != nil {
			answer.Missed += w.n - int(r.seen.Load())
		}
		told, err := w.source.told()
		if err != nil {
			return answer, err
		}
		if n := min(int(r.seen.Load()), w.n); n > 0 {
			seen := slices.SortedFunc(slices.Values(r.at[:n]), time.Time.Compare)
			after := func(i int) float64 { return float64(seen[i].Sub(told)) / float64(time.Millisecond) }
			p50, p99, answer.Lasts = append(p50, after(n/2)), append(p99, after(n*99/100)), append(answer.Lasts, after(n-1))
		}
		<-time.After(w.gap)
	}
	answer.P50, answer.P99, answer.Last = median(p50), median(p99), median(answer.Lasts)
	answer.CPU = (cpu() - began).Seconds()
	return answer, nil
}

// median returns the middle of some numbers; 0 for an empty list.
func median(numbers []float64) float64 {
	if len(numbers) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(numbers))[len(numbers)/2]
}
