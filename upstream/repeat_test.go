package upstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A GET says that it has no body, so that proxies and servers need not wait for one.
func TestRequestsEndWithTheirHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := overFrames(t, upstream.Config{}, func(p *peer, stream uint32, flags byte) {
			if flags&flagEndStream == 0 {
				t.Error("the stream is open after the header")
			}
			p.answer(stream)
		})
		for range 3 {
			if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
				t.Error(err)
			}
		}
	})
}

// A request that KooDrive reports as unprocessed is sent again, invisibly: callers see one request that ends well.
func TestUnprocessedRequestsAreSentAgain(t *testing.T) {
	for name, refuse := range map[string]func(p *peer, stream uint32){
		"REFUSED_STREAM": func(p *peer, stream uint32) { p.reset(stream, refusedStream) },
		"GOAWAY":         func(p *peer, stream uint32) { p.goAway(stream - 1) },
		"GOAWAY, closed": func(p *peer, stream uint32) { p.goAway(stream - 1); p.hangUp() },
		"GOAWAY twice":   func(p *peer, stream uint32) { p.goAway(1<<31 - 1); p.goAway(stream - 1) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				c := overFrames(t, upstream.Config{}, func(p *peer, stream uint32, _ byte) {
					if n.Add(1)%2 == 0 {
						refuse(p, stream)
						return
					}
					p.answer(stream)
				})
				begun, ended := 0, 0
				for range 30 {
					q, call := query(t, c), upstream.Call{}
					call.Begun = func() { begun++ }
					call.Ended = func(err error) {
						if ended++; err != nil {
							t.Error(err)
						}
					}
					if _, err := c.Task(t.Context(), q, call); err != nil {
						t.Error(err)
					}
				}
				if begun != 30 || ended != 30 || c.Stats().Down {
					t.Errorf("%d requests begun, %d ended; %+v", begun, ended, c.Stats())
				}
			})
		})
	}
}

// A KooDrive that always refuses requests counts as unreachable. It gets few requests per call, no more than the rate
// allows. Other failures of a stream are never repeated.
func TestRepeatsAreBounded(t *testing.T) {
	refused := func(p *peer, stream uint32) { p.reset(stream, refusedStream) }
	for name, row := range map[string]struct {
		answer    func(p *peer, stream uint32)
		perSecond int
		requests  int32
		took      time.Duration
		fault     upstream.TransportFault
	}{
		"REFUSED_STREAM":          {refused, 1000, 1 + upstream.MaxRepeats, 1100 * time.Millisecond, upstream.Unreachable},
		"REFUSED_STREAM, 1 a s":   {refused, 1, 1 + upstream.MaxRepeats, upstream.MaxRepeats * time.Second, upstream.Unreachable},
		"GOAWAY":                  {func(p *peer, stream uint32) { p.goAway(stream - 1) }, 1000, 1 + upstream.MaxRepeats, 1100 * time.Millisecond, upstream.Unreachable},
		"PROTOCOL_ERROR":          {func(p *peer, stream uint32) { p.reset(stream, protocolError) }, 1000, 1 + upstream.MaxRepeats, 1100 * time.Millisecond, upstream.Unreachable},
		"INTERNAL_ERROR":          {func(p *peer, stream uint32) { p.reset(stream, internalError) }, 1000, 1, 0, upstream.Unreachable},
		"CANCEL":                  {func(p *peer, stream uint32) { p.reset(stream, cancelled) }, 1000, 1, 0, upstream.Unreachable},
		"ENHANCE_YOUR_CALM":       {func(p *peer, stream uint32) { p.reset(stream, enhanceYourCalm) }, 1000, 1, 0, upstream.Unreachable},
		"GOAWAY after it, closed": {func(p *peer, stream uint32) { p.goAway(stream); p.hangUp() }, 1000, 1, 0, upstream.Unreachable},
		"nothing":                 {func(*peer, uint32) {}, 1000, 1, upstream.DefaultTimeout, upstream.TimedOut},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n atomic.Int32
				c := overFrames(t, upstream.Config{PerSecond: row.perSecond}, func(p *peer, stream uint32, _ byte) {
					n.Add(1)
					row.answer(p, stream)
				})
				start := time.Now()
				q, call := query(t, c), upstream.Call{}
				call.Resend = true // Its connection is new.
				_, err := c.Task(t.Context(), q, call)
				if fault, ok := unreachable(err); !ok || fault != row.fault {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took.Round(10*time.Millisecond) != row.took || n.Load() != row.requests {
					t.Errorf("%d requests in %v", n.Load(), took)
				}
			})
		})
	}
}

// A kept-alive connection that is dead when it is used costs a query with Resend a second request and nothing else. Other queries
// are not repeated, since KooDrive may have received the first request.
func TestDeadKeptAliveConnections(t *testing.T) {
	for _, resend := range []bool{false, true} {
		check := func(t *testing.T, err error, requests, want int) {
			t.Helper()
			if _, gone := unreachable(err); gone == resend || !resend && !gone || resend && err != nil {
				t.Errorf("resend %v: %v", resend, err)
			}
			if requests != want {
				t.Errorf("resend %v: %d requests, want %d", resend, requests, want)
			}
		}
		wanted := map[bool]int{false: 2, true: 3}[resend]
		synctest.Test(t, func(t *testing.T) { // HTTP/2
			n := 0
			c := overFrames(t, upstream.Config{}, func(p *peer, stream uint32, _ byte) {
				if n++; n == 2 {
					p.hangUp()
					return
				}
				p.answer(stream)
			})
			q, call := query(t, c), upstream.Call{}
			call.Resend = resend
			if _, err := c.Task(t.Context(), q, call); err != nil {
				t.Fatal(err)
			}
			_, err := c.Task(t.Context(), q, call)
			synctest.Wait()
			check(t, err, n, wanted)
		})
		synctest.Test(t, func(t *testing.T) { // HTTP/1.1
			var n atomic.Int32
			c := connect(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if n.Add(1) == 2 {
					panic(http.ErrAbortHandler)
				}
				_, _ = io.WriteString(w, `{"taskId":"`+exampleID+`","status":1,"code":0}`)
			}), upstream.Config{})
			q, call := query(t, c), upstream.Call{}
			call.Resend = resend
			if _, err := c.Task(t.Context(), q, call); err != nil {
				t.Fatal(err)
			}
			_, err := c.Task(t.Context(), q, call)
			check(t, err, int(n.Load()), wanted)
		})
	}
}

// A second dead connection in one attempt is a failure, even if all kept-alive connections are dead.
func TestResendIsOnce(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		q, call := query(t, c), upstream.Call{}
		call.Resend = true
		if _, err := c.Task(t.Context(), q, call); err != nil {
			t.Fatal(err)
		}
		k.SetFault(&koodrivetest.Fault{Reset: true})
		_, err := c.Task(t.Context(), q, call)
		if fault, ok := unreachable(err); !ok || fault != upstream.Unreachable {
			t.Errorf("got %v", err)
		}
		if k.Count() != 3 {
			t.Errorf("%d requests", k.Count())
		}
	})
}

// Unexpected 1xx answers are refused, and many 1xx answers too.
func TestInterimAnswers(t *testing.T) {
	const end = "HTTP/1.1 200 OK\r\nContent-Length: 52\r\n\r\n" + `{"taskId":"` + exampleID + `","status":1,"code":0}`
	for name, row := range map[string]struct {
		header string
		good   bool
	}{
		"100":              {"HTTP/1.1 100 Continue\r\n\r\n" + end, true},
		"103":              {"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" + end, true},
		"ten of them":      {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 10) + end, true},
		"eleven":           {strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 11) + end, false},
		"102":              {"HTTP/1.1 102 Processing\r\n\r\n" + end, false},
		"199":              {"HTTP/1.1 199 Odd\r\n\r\n" + end, false},
		"101":              {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false},
		"101 to HTTP/2":    {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", false},
		"101 without more": {"HTTP/1.1 101 Switching Protocols\r\n\r\n" + end, false},
		"101 after 100":    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false},
		"a status below":   {"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", false},
		"endless 100":      {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := overBytes(t, upstream.Config{}, func(conn net.Conn) {
					_, _ = conn.Write([]byte(row.header))
					_, _ = conn.Read(make([]byte, 1)) // Until the other side closes it.
				})
				start := time.Now()
				_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
				var fault *upstream.AnswerError
				if row.good != (err == nil) || !row.good && (!errors.As(err, &fault) || fault.Fault != upstream.Contradictory) {
					t.Errorf("got %v", err)
				}
				if time.Since(start) != 0 || c.Stats().InFlight != 0 {
					t.Errorf("after %v: %+v", time.Since(start), c.Stats())
				}
			})
		})
	}
	for status, good := range map[string]bool{"100": true, "103": true, "101": false, "102": false} {
		t.Run("HTTP/2, "+status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := overFrames(t, upstream.Config{}, func(p *peer, stream uint32, _ byte) {
					p.status(stream, status, 0)
					p.answer(stream)
				})
				_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
				var fault *upstream.AnswerError
				if good != (err == nil) || !good && (!errors.As(err, &fault) || fault.Fault != upstream.Contradictory) {
					t.Errorf("HTTP/2, %s: %v", status, err)
				}
			})
		})
	}
}

// overBytes returns a client for a KooDrive that answers the first request of each connection as answer does.
func overBytes(t *testing.T, config upstream.Config, answer func(net.Conn)) *upstream.Client {
	t.Helper()
	listener := koodrivetest.Listen()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buffer := make([]byte, 4096)
				if _, err := conn.Read(buffer); err == nil {
					answer(conn)
				}
			}()
		}
	}()
	config.BaseURL, config.AllowHTTP = "http://koodrive.test", true
	config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		return listener.Dial(ctx, network, address)
	}
	c, err := upstream.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = listener.Close()
	})
	return c
}
