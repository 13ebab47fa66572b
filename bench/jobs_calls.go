package main

import (
	"context"
	"time"
)

// Flags of the command load, for 64 calls in flight.
var (
	overGRPC = []string{"-conns", "8", "-inflight", itoa(inflight)}
	overHTTP = []string{"-conns", itoa(inflight), "-inflight", itoa(inflight)}
)

// with returns flags with some more.
func with(flags []string, more ...string) []string {
	return append(append([]string{}, flags...), more...)
}

// memory measures GetTask of a finished task, which kootask has in memory after the first call.
func memory(ctx context.Context, b *bench) error {
	echo, err := b.program(ctx, "echo", false)
	if err != nil {
		return err
	}
	k, err := b.kootask(ctx, 0)
	if err != nil {
		return err
	}
	if err := b.calls(ctx, "ECHO", echo, b.n(120000), nil, with(overGRPC, "-id", "done-1")...); err != nil {
		return err
	}
	return b.calls(ctx, "memory", k.server, b.n(60000), nil, with(overGRPC, "-id", "done-1")...)
}

// through measures GetTask of tasks that are not finished, so that each call asks KooDrive.
func through(ctx context.Context, b *bench) error {
	k, err := b.kootask(ctx, 0)
	if err != nil {
		return err
	}
	facade, err := b.program(ctx, "facade", false, "-upstream", k.behind.addr)
	if err != nil {
		return err
	}
	proxy, err := b.program(ctx, "proxy", false, "-upstream", k.behind.addr)
	if err != nil {
		return err
	}
	ids := []string{"-id", "m", "-ids", "20000"}
	if err := b.calls(ctx, "FACADE", facade, b.n(40000), nil, with(overGRPC, ids...)...); err != nil {
		return err
	}
	if err := b.calls(ctx, "through", k.server, b.n(40000), nil, with(overGRPC, ids...)...); err != nil {
		return err
	}
	return b.calls(ctx, "RP", proxy, b.n(40000), nil, with(overHTTP, with(ids, "-http", "/koodrive/ose/v1/task/")...)...)
}

// rest measures GET of a finished task, which kootask has in memory after the first request.
func rest(ctx context.Context, b *bench) error {
	k, err := b.kootask(ctx, 0)
	if err != nil {
		return err
	}
	echo, err := b.program(ctx, "echo", false)
	if err != nil {
		return err
	}
	gateway, err := b.program(ctx, "gateway", false, "-upstream", echo.addr)
	if err != nil {
		return err
	}
	for _, row := range []struct {
		name, program string
		server        *server
		also          []*server
	}{
		{name: "HAND", program: "hand"},
		{name: "REST", server: &server{process: k.process, addr: k.http}},
		{name: "gateway", server: gateway, also: []*server{echo}},
		{name: "Vanguard", program: "vanguard"},
	} {
		if row.server == nil {
			if row.server, err = b.program(ctx, row.program, false); err != nil {
				return err
			}
		}
		get := with(overHTTP, "-http", "/v1/tasks/", "-id", "done-1")
		if err := b.calls(ctx, row.name, row.server, b.n(40000), row.also, get...); err != nil {
			return err
		}
	}
	return nil
}

// latency measures calls of 16 callers while KooDrive takes 20 ms.
func latency(ctx context.Context, b *bench) error {
	k, err := b.kootask(ctx, 20*time.Millisecond)
	if err != nil {
		return err
	}
	proxy, err := b.program(ctx, "proxy", false, "-upstream", k.behind.addr)
	if err != nil {
		return err
	}
	ids := []string{"-id", "m", "-ids", "20000", "-callers", "16"}
	for _, inflight := range []string{"64", "256"} {
		get := with(ids, "-http", "/koodrive/ose/v1/task/", "-conns", inflight, "-inflight", inflight)
		call := with(ids, "-conns", "16", "-inflight", inflight)
		if err := b.calls(ctx, "direct "+inflight, k.behind, b.n(20000), nil, get...); err != nil {
			return err
		}
		if err := b.calls(ctx, "slow "+inflight, k.server, b.n(20000), nil, call...); err != nil {
			return err
		}
		if err := b.calls(ctx, "RP "+inflight, proxy, b.n(20000), nil, get...); err != nil {
			return err
		}
	}
	return nil
}

// joined measures calls for one running task of a KooDrive that takes 500 ms: 1,000 at once, and then many.
func joined(ctx context.Context, b *bench) error {
	k, err := b.kootask(ctx, 500*time.Millisecond)
	if err != nil {
		return err
	}
	at := []string{"-conns", "10", "-inflight", "1000"}
	before, err := k.behind.requests()
	if err != nil {
		return err
	}
	if _, err := b.load(ctx, k.server, 1000, with(at, "-id", "once")...); err != nil {
		return err
	}
	after, err := k.behind.requests()
	if err != nil {
		return err
	}
	b.note("requests of 1,000 calls", after-before)
	if b.short {
		return nil
	}
	echo, err := b.program(ctx, "echo", false)
	if err != nil {
		return err
	}
	if err := b.calls(ctx, "joined", k.server, b.n(30000), nil, with(at, "-id", "often")...); err != nil {
		return err
	}
	return b.calls(ctx, "ECHO 1000", echo, b.n(60000), nil, with(at, "-id", "done-1")...)
}
