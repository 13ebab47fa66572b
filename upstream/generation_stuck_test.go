package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/bounded"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// deaf is a connection that, from a moment on, receives nothing and ignores Close, until it is released.
type deaf struct {
	net.Conn
	from     *atomic.Bool
	released <-chan struct{}
}

func (d deaf) Read(b []byte) (int, error) {
	if d.from.Load() {
		<-d.released
		return 0, net.ErrClosed
	}
	return d.Conn.Read(b)
}

func (d deaf) Close() error { return nil }

// net/http does not return from a connection that ignores Close. The attempt does, and later attempts use new connections.
func TestStuckAttemptsAreAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		released := make(chan struct{})
		var from atomic.Bool
		k := koodrivetest.New()
		k.AddToken(token, 0)
		var slow atomic.Bool
		slow.Store(true)
		listener := koodrivetest.Listen()
		var dials atomic.Int32
		c := connectTo(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if slow.Load() { // The header arrives, and then nothing.
				w.Header().Set("Content-Length", "52")
				_, _ = io.WriteString(w, "{")
				_ = http.NewResponseController(w).Flush()
				from.Store(true)
				<-r.Context().Done()
				return
			}
			k.ServeHTTP(w, r)
		}), listener, upstream.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := listener.Dial(ctx, network, address)
			if dials.Add(1) == 1 {
				return deaf{conn, &from, released}, err
			}
			return conn, err
		}})
		start := time.Now()
		_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
		if fault, _ := unreachable(err); fault != upstream.TimedOut {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took > upstream.DefaultTimeout+bounded.Obedience {
			t.Errorf("took %v", took)
		}
		if c.Stats().InFlight != 0 {
			t.Errorf("%+v", c.Stats())
		}
		slow.Store(false)
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil || dials.Load() != 2 {
			t.Errorf("%v, %d connections", err, dials.Load())
		}
		close(released)
	})
}

// An HTTP/2 connection that answers nothing is soon abandoned, even if it answers pings. While other requests on it are answered,
// one that is not answered says nothing about the connection.
func TestSilentConnectionsAreReplaced(t *testing.T) {
	for name, quiet := range map[string]bool{"nobody is answered": true, "others are answered": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				listener := koodrivetest.Listen()
				var dials, requests atomic.Int32
				c := overFramesAt(t, listener, upstream.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
					dials.Add(1)
					return listener.Dial(ctx, network, address)
				}}, func(p *peer, stream uint32, _ byte) {
					if n := requests.Add(1); n == 2 || quiet && n > 2 && dials.Load() == 1 {
						return
					}
					p.answer(stream)
				})
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
					t.Fatal(err)
				}
				var all sync.WaitGroup
				all.Go(func() {
					_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
					if fault, _ := unreachable(err); fault != upstream.TimedOut {
						t.Errorf("got %v", err)
					}
				})
				if !quiet {
					time.Sleep(time.Second)
					if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
						t.Error(err)
					}
				}
				all.Wait()
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
					t.Error(err)
				}
				if want := map[bool]int32{true: 2, false: 1}[quiet]; dials.Load() != want {
					t.Errorf("%d connections, want %d", dials.Load(), want)
				}
			})
		})
	}
}

// Hanging dials hold no slot, are few, and end, also those whose requests have been cancelled. The first request after that is
// answered at once.
func TestHangingDialsAreBounded(t *testing.T) {
	const atOnce = 5
	for name, give := range map[string]time.Duration{"timed out": 0, "given up": 100 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := koodrivetest.New()
				k.AddToken(token, 0)
				listener := koodrivetest.Listen()
				var hangs atomic.Bool
				hangs.Store(true)
				var dialling, most atomic.Int32
				c := connectTo(t, k, listener, upstream.Config{
					AtOnce: atOnce, PerSecond: 1000, Timeout: time.Second,
					Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
						most.Store(max(most.Load(), dialling.Add(1)))
						defer dialling.Add(-1)
						if hangs.Load() {
							<-ctx.Done()
							return nil, ctx.Err()
						}
						return listener.Dial(ctx, network, address)
					},
				})
				var all sync.WaitGroup
				for range 50 {
					ctx := t.Context()
					if give > 0 {
						var cancel context.CancelFunc
						ctx, cancel = context.WithTimeout(ctx, give)
						defer cancel()
					}
					all.Go(func() { _, _ = c.Task(ctx, query(t, c), upstream.Call{}) })
				}
				all.Wait()
				if n := most.Load(); n > 2*atOnce {
					t.Errorf("%d dials at a time", n)
				}
				hangs.Store(false)
				time.Sleep(upstream.BreakerPause + upstream.BreakerWindow)
				start := time.Now()
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil || time.Since(start) != 0 {
					t.Errorf("afterwards: %v after %v", err, time.Since(start))
				}
				time.Sleep(time.Minute)
				if n := dialling.Load(); n != 0 {
					t.Errorf("%d dials do not end", n)
				}
			})
		})
	}
}

// A dial may take longer than its attempt: it goes on, and its connection serves the next attempt.
func TestDialOutlivesItsAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.AddToken(token, 0)
		listener := koodrivetest.Listen()
		var dials atomic.Int32
		c := connectTo(t, k, listener, upstream.Config{Timeout: 3 * time.Second, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			select {
			case <-time.After(5 * time.Second):
				return listener.Dial(ctx, network, address)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}})
		_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
		if fault, _ := unreachable(err); fault != upstream.TimedOut {
			t.Errorf("got %v", err)
		}
		time.Sleep(3 * time.Second) // The dial has ended.
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil || dials.Load() != 1 {
			t.Errorf("%v, %d dials", err, dials.Load())
		}
		if errors.Is(err, bounded.ErrAbandoned) {
			t.Error("the first attempt was abandoned")
		}
	})
}
