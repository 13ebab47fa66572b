package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/kootask/kootask/bench/result"
)

// inflight is the number of unary calls in flight, unless a bar says otherwise.
const inflight = 64

// load makes n calls with the command load.
func (b *bench) load(ctx context.Context, s *server, n int, flags ...string) (r result.Calls, err error) {
	argv := append([]string{"-addr", s.addr, "-n", itoa(n)}, flags...)
	out, err := exec.CommandContext(ctx, filepath.Join(b.bin, "load"), argv...).Output()
	if err != nil {
		return r, fmt.Errorf("load of %s: %w: %s", s.name, err, stderr(err))
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, err
	}
	if r.Failed > 0 {
		err = fmt.Errorf("%d of %d calls of %s failed", r.Failed, n, s.name)
	}
	return r, err
}

// stderr returns the output of a command before it failed.
func stderr(err error) string {
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}

// calls warms a server up and measures n calls: the CPU time of the servers for each call in microseconds, the calls per
// second, and the latencies in milliseconds.
func (b *bench) calls(ctx context.Context, name string, s *server, n int, also []*server, flags ...string) error {
	if _, err := b.load(ctx, s, max(n/10, 1000), flags...); err != nil {
		return err
	}
	used := func() time.Duration {
		sum := s.cpu()
		for _, o := range also {
			sum += o.cpu()
		}
		return sum
	}
	before := used()
	r, err := b.load(ctx, s, n, flags...)
	b.note(name+" µs", micros(used()-before, float64(r.Calls)))
	b.note(name+" calls/s", r.Rate)
	b.note(name+" bytes", r.Bytes)
	b.note(name+" p50 ms", r.P50)
	b.note(name+" p99 ms", r.P99)
	return err
}

// micros returns the microseconds for each of n events.
func micros(d time.Duration, n float64) float64 { return float64(d) / float64(time.Microsecond) / n }

// watchers is a running command of that name.
type watchers struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	n       int
	setup   float64 // Seconds until all watches were open.
	failed  bytes.Buffer
}

// watch opens n watches of a server, with 500 on each connection if not told otherwise.
func (b *bench) watch(ctx context.Context, s *server, n int, flags ...string) (*watchers, error) {
	argv := append([]string{"-addr", s.addr, "-control", s.control, "-n", itoa(n), "-conns", itoa(max(1, n/500))}, flags...)
	w := &watchers{command: exec.CommandContext(ctx, filepath.Join(b.bin, "watchers"), argv...), n: n}
	w.command.Stderr = &w.failed
	var err error
	if w.in, err = w.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewScanner(out)
	if err := w.command.Start(); err != nil {
		return nil, err
	}
	b.drivers = append(b.drivers, w)
	opened, err := w.answer()
	w.setup = opened.Setup
	return w, err
}

// order gives an order and returns the answer. No stream may have ended.
func (w *watchers) order(order string) (result.Watches, error) {
	if _, err := fmt.Fprintln(w.in, order); err != nil {
		return result.Watches{}, err
	}
	r, err := w.answer()
	if err == nil && r.Ended > 0 {
		err = fmt.Errorf("%d of %d watches ended %s", r.Ended, w.n, r.Why)
	}
	return r, err
}

func (w *watchers) answer() (r result.Watches, err error) {
	if !w.out.Scan() {
		return r, fmt.Errorf("the watchers ended: %w: %s", errors.Join(w.out.Err(), w.command.Wait()), &w.failed)
	}
	return r, json.Unmarshal(w.out.Bytes(), &r)
}

// leave closes all watches.
func (w *watchers) leave() error { return errors.Join(w.in.Close(), w.command.Wait()) }
