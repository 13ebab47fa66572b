package main

import (
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/service/reason"
)

// A stop under load: every stream gets the reason and a time for the retry, no connection breaks, and clients neither leave nor
// return all at once.
func TestStopWith3000Streams(t *testing.T) {
	t.Parallel()
	const streams = 3000
	needFiles(t, 3*streams) // Two thirds come over HTTP, and one address may have a quarter of the files there.
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `answers on (http://\S+),`)
	p := start(t, nil, append([]string{"serve", "--upstream-allow-http", "--upstream-url=" + koodrive}, anyPorts...)...)
	httpAddr := p.says(t, `"http":"([^"]+)"`)
	doors := []door{grpcDoor(t, p.says(t, `"grpc":"([^"]+)"`)), httpDoor(httpAddr, ndjson), httpDoor(httpAddr, sse)}
	endings, leave := crowd(t, streams, func(i int) (door, string, string) { return doors[i%len(doors)], demoToken, runningID })
	defer leave()

	p.signal(t, syscall.SIGTERM)
	signalled := time.Now()
	state := p.ends(t, time.Minute)
	if took := time.Since(signalled); !state.Success() || took > server.DefaultGrace {
		log := p.stderr.String()
		t.Errorf("it ended with %v after %v:\n…%s", state, took, log[max(0, len(log)-500):])
	}
	var delays, ends []time.Duration
	for range streams {
		e := <-endings
		if e.last.name != "failure" {
			t.Fatalf("a stream over %s ended with: %v", e.surface, e.last)
		}
		why, retry := reason.Read(e.last.status)
		if e.last.status.Code() != codes.Unavailable || why != "SERVER_DRAINING" || retry == nil {
			t.Fatalf("a stream over %s ended with %v", e.surface, e.last.status)
		}
		if ms, err := strconv.Atoi(e.last.wait); e.surface == sse && (err != nil || (time.Duration(ms)*time.Millisecond-*retry).Abs() > time.Millisecond) {
			t.Fatalf("retry: %q, and RetryInfo says %v", e.last.wait, *retry)
		}
		delays, ends = append(delays, *retry), append(ends, e.at.Sub(signalled))
	}
	slices.Sort(delays)
	slices.Sort(ends)
	t.Logf("the streams ended %v to %v after the signal, half of them before %v", ends[0], ends[streams-1], ends[streams/2])
	t.Logf("they come back after %v to %v, half of them before %v", delays[0], delays[streams-1], delays[streams/2])
	if spread := ends[streams-1] - ends[0]; spread < server.DefaultGrace/4 {
		t.Errorf("all streams ended within %v", spread)
	}
	if delays[0] > time.Second || delays[streams-1] < 4*time.Second || delays[streams-1] > 5*time.Second {
		t.Errorf("delays from %v to %v", delays[0], delays[streams-1])
	}
}
