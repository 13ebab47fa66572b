package rpcserver_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/rpcserver"
)

// coding is the compression of the answers that a client gets.
type coding struct {
	mu   sync.Mutex
	seen []string // Guarded by mu.
}

func (c *coding) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (c *coding) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (c *coding) HandleConn(context.Context, stats.ConnStats)                       {}

func (c *coding) HandleRPC(_ context.Context, s stats.RPCStats) {
	if header, ok := s.(*stats.InHeader); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, header.Compression)
	}
}

// A request may be compressed. Its size is bounded, compressed or not, and the answer is not compressed.
func TestCompressedRequests(t *testing.T) {
	ok := func(context.Context) error { return nil }
	answers := &coding{}
	bubble(t, ok, func(ctx context.Context, t *testing.T, tasks client) {
		for _, size := range []int{10, 1 << 20} { // The larger one takes about 1 KiB, compressed.
			want := codes.OK
			if size > rpcserver.MaxMessage {
				want = codes.ResourceExhausted
			}
			id := strings.Repeat("a", size)
			if _, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: id}, grpc.UseCompressor(gzip.Name)); status.Code(err) != want {
				t.Errorf("GetTask with %d bytes: %v", size, err)
			}
			stream, err := tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: id}, grpc.UseCompressor(gzip.Name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = stream.Recv(); err == nil || err.Error() != "EOF" && status.Code(err) != want {
				t.Errorf("WatchTask with %d bytes: %v", size, err)
			}
		}
	}, grpc.WithStatsHandler(answers))
	if len(answers.seen) == 0 || strings.Contains(strings.Join(answers.seen, ""), gzip.Name) {
		t.Errorf("answers are compressed: %q", answers.seen)
	}
}

// retryPolicy is one of a service's config: it retries whatever fails, unless the server says otherwise.
const retryPolicy = `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 3, "initialBackoff": "0.01s", "maxBackoff": "0.01s",
	"backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "NOT_FOUND", "INTERNAL"]}}]}`

// A retry policy of gRPC's own waits as long as RetryInfo says, if that is short, and otherwise leaves it to the caller.
func TestTrailerControlsRetryPolicies(t *testing.T) {
	for outcome, attempts := range map[reason.Outcome]int{
		reason.UpstreamUnavailable: 3, reason.ServerDraining: 3, reason.UpstreamRateLimited: 1, reason.TaskNotFound: 1, reason.FacadeBug: 1,
	} {
		for _, method := range methods {
			var at []time.Time
			var delays []time.Duration // The delays in the answers of the attempts.
			do := func(context.Context) error {
				at = append(at, time.Now())
				return &reason.Error{Outcome: outcome}
			}
			bubble(t, do, func(ctx context.Context, t *testing.T, tasks client) {
				_, retry := reason.Read(status.Convert(call(ctx, t, tasks, method)))
				if retry != nil {
					delays = append(delays, *retry)
				}
			}, grpc.WithDefaultServiceConfig(retryPolicy))
			if len(at) != attempts {
				t.Errorf("%s, %s: %d attempts, want %d", outcome.Name, method, len(at), attempts)
			}
			for i := 1; i < len(at); i++ {
				if wait := at[i].Sub(at[i-1]); wait < 0 || wait > rpcserver.MaxPushback || outcome == reason.UpstreamUnavailable && wait < time.Second {
					t.Errorf("%s, %s: retried after %v", outcome.Name, method, wait)
				}
			}
			if attempts == 1 && outcome == reason.UpstreamRateLimited && (len(delays) != 1 || delays[0] < time.Minute) {
				t.Errorf("%s: the caller sees the delays %v", method, delays)
			}
		}
	}
}

// The delay in the trailer is that of RetryInfo.
func TestPushback(t *testing.T) {
	for outcome, has := range map[reason.Outcome]bool{reason.UpstreamTimeout: true, reason.TaskNotFound: false} {
		bubble(t, func(context.Context) error { return &reason.Error{Outcome: outcome} }, func(ctx context.Context, t *testing.T, tasks client) {
			var trailer metadata.MD
			_, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{}, grpc.Trailer(&trailer))
			_, retry := reason.Read(status.Convert(err))
			got := strings.Join(trailer.Get("grpc-retry-pushback-ms"), ",")
			delay, _ := time.ParseDuration(got + "ms")
			if !has && got != "-1" || has && (delay < *retry || delay >= *retry+time.Millisecond) { // Never sooner.
				t.Errorf("%s: %q, RetryInfo says %v", outcome.Name, got, retry)
			}
		})
	}
}

// A call with too much metadata fails alone: the other calls of its connection go on.
func TestTooMuchMetadata(t *testing.T) {
	wait := func(ctx context.Context) error {
		<-time.After(time.Minute)
		return ctx.Err()
	}
	bubble(t, wait, func(ctx context.Context, t *testing.T, tasks client) {
		var others sync.WaitGroup
		for _, method := range methods {
			others.Go(func() {
				if err := call(ctx, t, tasks, method); err != nil && err.Error() != "EOF" {
					t.Errorf("another call: %s: %v", method, err)
				}
			})
		}
		synctest.Wait()
		for _, size := range []int{rpcserver.MaxHeader, 2 * rpcserver.MaxHeader, rpcserver.MaxHeaderRead * 7 / 8} {
			for _, value := range [][]string{{strings.Repeat("x", size)}, strings.SplitAfter(strings.Repeat("x", size), strings.Repeat("x", 500))} {
				heavy := ctx
				for _, v := range value {
					heavy = metadata.AppendToOutgoingContext(heavy, "x-heavy", v)
				}
				for _, method := range methods {
					stream := open(heavy, t, tasks.conn, method)
					if err := stream.RecvMsg(&taskv1.Task{}); status.Code(err) != codes.ResourceExhausted {
						t.Errorf("%s with %d bytes in %d fields: %v", method, size, len(value), err)
					}
				}
			}
		}
		others.Wait()
	})
}

// A stop waits no longer than a moment for a call whose request has not arrived or has not ended, and for no stream of health.
func TestStopWaitsForNoRequest(t *testing.T) {
	ok := func(context.Context) error { return nil }
	for _, method := range append(slices.Clone(methods), "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch") {
		for _, messages := range []int{0, 1} {
			synctest.Test(t, func(t *testing.T) {
				s, ctx, tasks := start(t, ok, io.Discard)
				stream := open(ctx, t, tasks.conn, method)
				for range messages {
					if err := stream.SendMsg(&taskv1.GetTaskRequest{}); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				began := time.Now()
				limit, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				if graceful, took := s.Stop(limit), time.Since(began); !graceful || took > rpcserver.StopTimeout {
					t.Errorf("%s with %d messages: stopped after %v, graceful: %v", method, messages, took, graceful)
				}
				_ = tasks.conn.Close()
			})
		}
	}
}
