package main

import (
	"context"
	"fmt"
	"time"
)

// The numbers of watchers of one task, and of connections with server-sent events. One process may have 20,000 files open, of
// which kootask reserves the half for its gRPC port.
const (
	many        = 50000
	connections = 9000
)

// settle is how long the servers rest before their memory is measured.
const settle = time.Second

// fan opens watches of one task, makes changes, and leaves.
func (b *bench) fan(ctx context.Context, name string, s *server, watchers, rounds int, flags ...string) error {
	n := b.n(watchers)
	if err := pause(ctx, settle/2); err != nil {
		return err
	}
	base, err := s.memory()
	if err != nil {
		return err
	}
	w, err := b.watch(ctx, s, n, with(flags, "-gap", "100ms")...)
	if err != nil {
		return err
	}
	if err := pause(ctx, settle); err != nil {
		return err
	}
	idle, err := s.memory()
	if err != nil {
		return err
	}
	before := s.cpu()
	r, err := w.order("run " + itoa(rounds))
	if err != nil {
		return err
	}
	name = fmt.Sprint(name, " ", watchers)
	sent := float64(n * len(r.Lasts))
	b.note(name+" µs", micros(s.cpu()-before, sent))
	b.note(name+" client µs", r.CPU*1e6/sent)
	b.note(name+" p50 ms", r.P50)
	b.note(name+" p99 ms", r.P99)
	b.note(name+" last ms", r.Last)
	b.note(name+" missed", float64(r.Missed))
	b.note(name+" idle B", (idle-base)/float64(n))
	b.note(name+" changed B", (s.rss()-base)/float64(n))
	if err := w.leave(); err != nil {
		return err
	}
	if err := pause(ctx, 3*settle); err != nil {
		return err
	}
	left, err := s.memory()
	b.note(name+" left B", (left-base)/float64(n))
	return err
}

// alone runs fan with servers that are stopped afterwards, so that one peer is measured without the others.
func (b *bench) alone(ctx context.Context, name string, start func() (*server, error), n, rounds int, flags ...string) error {
	s, err := start()
	if err == nil {
		err = b.fan(ctx, name, s, n, rounds, flags...)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return b.stopAll()
}

// limits are the flags of the driver for a server that sends nothing before the first change.
var limits = []string{"-open"}

// broadcasts measures n watchers of one task over gRPC, with kootask and all of its peers. They change twice as often as
// kootask, since their CPU time is small beside the unit in which the system counts it.
func (b *bench) broadcasts(ctx context.Context, n, rounds int) error {
	loop := func() (*server, error) { return b.program(ctx, "broadcast", true, "-loop") }
	plain := func() (*server, error) { return b.program(ctx, "broadcast", true) }
	etcd := func() (*server, error) { return b.etcd(ctx) }
	if err := b.alone(ctx, "PLAIN", plain, n, 2*rounds, limits...); err != nil {
		return err
	}
	if err := b.alone(ctx, "LOOP", loop, n, 2*rounds, limits...); err != nil {
		return err
	}
	if err := b.alone(ctx, "etcd", etcd, n, 2*rounds, "-kind", "etcd"); err != nil {
		return err
	}
	return b.alone(ctx, "kootask", b.grpc(ctx), n, rounds, "-first")
}

// grpc starts kootask, for alone.
func (b *bench) grpc(ctx context.Context, flags ...string) func() (*server, error) {
	return func() (*server, error) {
		k, err := b.kootask(ctx, 0, flags...)
		if err != nil {
			return nil, err
		}
		return k.server, nil
	}
}

// http starts kootask and returns its HTTP port, for alone.
func (b *bench) http(ctx context.Context) func() (*server, error) {
	return func() (*server, error) {
		k, err := b.kootask(ctx, 0)
		if err != nil {
			return nil, err
		}
		return &server{process: k.process, addr: k.http, control: k.control}, nil
	}
}

// watchOne measures 50,000 watchers of one task, and again with streams that are opened in random order.
func watchOne(ctx context.Context, b *bench) error {
	if b.short {
		return b.alone(ctx, "kootask", b.grpc(ctx), many, 3, "-first")
	}
	if err := b.broadcasts(ctx, many, 6); err != nil {
		return err
	}
	return b.alone(ctx, "random", b.grpc(ctx), many, 6, "-first", "-random")
}

// watchSizes measures fewer watchers of one task, for the plots.
func watchSizes(ctx context.Context, b *bench) error {
	for _, n := range []int{1000, 10000, 25000} {
		if err := b.broadcasts(ctx, n, 4); err != nil {
			return err
		}
	}
	return nil
}

// events measures server-sent events.
func events(ctx context.Context, b *bench) error {
	const n, rounds = connections, 8
	bare := func() (*server, error) { return b.program(ctx, "sse", true) }
	nchan := func() (*server, error) { return b.nchan(ctx) }
	if err := b.alone(ctx, "net/http", bare, n, rounds, "-kind", "sse"); err != nil {
		return err
	}
	if err := b.alone(ctx, "nchan", nchan, n, rounds, "-kind", "sse"); err != nil {
		return err
	}
	return b.alone(ctx, "SSE", b.http(ctx), n, rounds, "-kind", "sse", "-first")
}

// idle measures watchers of a task that does not change: the polls at an interval of 1 s for one watcher and for 50,000, the CPU
// time with heartbeats every 8 s, and the polls after all have left.
func idle(ctx context.Context, b *bench) error {
	after := 0.0
	for _, row := range []struct {
		name    string
		n       int
		seconds float64
	}{{"watched by 1", 1, 10}, {"idle", b.n(many), 16}} { // 16 s are two heartbeats.
		k, err := b.kootask(ctx, 0, "--poll-max=1s")
		if err != nil {
			return err
		}
		w, err := b.watch(ctx, k.server, row.n, "-first")
		if err != nil {
			return err
		}
		if err := pause(ctx, settle); err != nil {
			return err
		}
		if err := b.observe(ctx, row.name, k, w, time.Duration(row.seconds)*time.Second); err != nil {
			return err
		}
		b.note(row.name+" polls/s", b.figures.get(row.name+" polls")/row.seconds)
		b.note(row.name+" CPU %", b.figures.get(row.name+" CPU s")/row.seconds*100)
		if err := w.leave(); err != nil {
			return err
		}
		if err := k.empty(ctx); err != nil {
			return err
		}
		before, err := k.behind.requests()
		if err != nil {
			return err
		}
		if err := pause(ctx, 3*time.Second); err != nil {
			return err
		}
		now, err := k.behind.requests()
		if err != nil {
			return err
		}
		after += now - before
		if err := b.stopAll(); err != nil {
			return err
		}
	}
	b.note("polls after leaving", after)
	b.note("heartbeat µs", b.figures.get("idle CPU s")*1e6/b.figures.get("idle heartbeats"))
	return nil
}

// empty waits until kootask has no watch any more.
func (k *kootask) empty(ctx context.Context) error {
	for {
		watches, err := metric(k.profiles, "kootask_watchers")
		if err != nil || watches == 0 {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// observe measures watches for some time in which nothing changes: polls, heartbeats and CPU time.
func (b *bench) observe(ctx context.Context, name string, k *kootask, w *watchers, d time.Duration) error {
	r0, err := w.order("stat")
	if err != nil {
		return err
	}
	requests, err := k.behind.requests()
	if err != nil {
		return err
	}
	used := k.cpu()
	if err := pause(ctx, d); err != nil {
		return err
	}
	used = k.cpu() - used
	now, err := k.behind.requests()
	if err != nil {
		return err
	}
	r, err := w.order("stat")
	if err != nil {
		return err
	}
	b.note(name+" CPU s", used.Seconds())
	b.note(name+" polls", now-requests)
	b.note(name+" heartbeats", float64(r.Heartbeats-r0.Heartbeats))
	return nil
}

// stalled measures changes of 8 KiB with 5,000 watchers on 100 connections, without and with one more connection that is
// not read.
func stalled(ctx context.Context, b *bench) error {
	n := b.n(5000)
	for _, row := range []struct {
		name           string
		silent, rounds int
	}{{"healthy", 0, 40}, {"stalled", 1, 200}} {
		k, err := b.kootask(ctx, 0, "--poll-min=200ms", "--poll-max=200ms")
		if err != nil {
			return err
		}
		w, err := b.watch(ctx, k.server, n, "-first", "-pad", "8000", "-conns", "100", "-silent", itoa(row.silent))
		if err != nil {
			return err
		}
		if _, err := w.order("run 2"); err != nil {
			return err
		}
		if _, err := w.order("stall"); err != nil {
			return err
		}
		first, err := w.order("run " + itoa(row.rounds/5))
		if err != nil {
			return err
		}
		early, err := k.memory()
		if err != nil {
			return err
		}
		rest, err := w.order("run " + itoa(row.rounds*4/5))
		if err != nil {
			return err
		}
		late, err := k.memory()
		if err != nil {
			return err
		}
		b.note(row.name+" last ms", median(append(first.Lasts, rest.Lasts...)))
		b.note(row.name+" missed", float64(first.Missed+rest.Missed))
		b.note(row.name+" growth", late/early)
		if err := w.leave(); err != nil {
			return err
		}
		if err := b.stopAll(); err != nil {
			return err
		}
	}
	return nil
}
