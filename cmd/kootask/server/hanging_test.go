package server_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// headers is a HEADERS frame of stream 1.
func headers(flags byte, block string) string {
	return string([]byte{0, 0, byte(len(block)), 1, flags, 0, 0, 0, 1}) + block
}

// Flags of a HEADERS frame, settings that leave a stream no window for an answer, and two requests.
const (
	endStream, endHeaders = 1, 4
	noWindow              = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x06\x04\x00\x00\x00\x00\x00" + "\x00\x04\x00\x00\x00\x00"
	getOpenAPI            = "\x82\x86\x44\x0d/openapi.json\x41\x0ckootask.test"
	getHealth             = "\x82\x86\x44\x08/healthz\x41\x09localhost"
)

// hanging are the ways in which a client can hang before a call or in the middle of one, and the limits after which its
// connection ends.
var hanging = map[string]struct {
	port, text string
	limit      time.Duration
}{
	"gRPC, nothing":             {"grpc", "", rpcserver.ConnectTimeout},
	"gRPC, half a preface":      {"grpc", http2Hello[:10], rpcserver.ConnectTimeout},
	"gRPC, no settings":         {"grpc", http2Hello[:24], rpcserver.ConnectTimeout},
	"gRPC, no call":             {"grpc", http2Hello, rpcserver.Ping + rpcserver.PingTimeout},
	"gRPC, half a header":       {"grpc", http2Hello + headers(0, grpcHeader), rpcserver.Ping + rpcserver.PingTimeout},
	"gRPC, a header":            {"grpc", http2Hello + headers(endHeaders, grpcHeader), rpcserver.Ping + rpcserver.PingTimeout},
	"HTTP, nothing":             {"http", "", server.HeaderTimeout},
	"HTTP, half a line":         {"http", "GET /v1", server.HeaderTimeout},
	"HTTP, half a header":       {"http", "GET / HTTP/1.1\r\nHost: x\r\n", server.HeaderTimeout},
	"HTTP, after an answer":     {"http", httpCall, server.IdleTimeout},
	"HTTP/2, half a preface":    {"http", http2Hello[:18], server.HeaderTimeout},
	"HTTP/2, no call":           {"http", http2Hello, rpcserver.Ping + rpcserver.PingTimeout},
	"HTTP/2, half a header":     {"http", http2Hello + headers(endStream, getOpenAPI), rpcserver.Ping + rpcserver.PingTimeout},
	"HTTP/2, never reads":       {"http", noWindow + headers(endStream|endHeaders, getOpenAPI), rpcserver.Ping + rpcserver.PingTimeout},
	"HTTP/2, no body, no reads": {"http", noWindow + headers(endHeaders, getOpenAPI), rpcserver.Ping + rpcserver.PingTimeout},
	"admin, nothing":            {"admin", "", server.HeaderTimeout},
	"admin, half a header":      {"admin", "GET / HTTP/1.1\r\nHost: x\r\n", server.HeaderTimeout},
	"admin, HTTP/2, no call":    {"admin", http2Hello, rpcserver.Ping + rpcserver.PingTimeout},
	"admin, HTTP/2, no reads":   {"admin", noWindow + headers(endStream|endHeaders, getHealth), rpcserver.Ping + rpcserver.PingTimeout},
}

func TestHangingClientsEnd(t *testing.T) {
	t.Parallel()
	for name, row := range hanging {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) { s.hangs(t, name, nil) })
		})
		if row.port == "admin" {
			continue // Without TLS.
		}
		t.Run(name+" after a handshake", func(t *testing.T) {
			secureBubble(t, nil, func(t *testing.T, s *system, a *authorities) {
				config := a.config(nil)
				config.NextProtos = []string{"http/1.1"}
				if row.port == "grpc" || strings.HasPrefix(name, "HTTP/2") {
					config.NextProtos = []string{"h2"}
				}
				s.hangs(t, name, config)
			})
		})
	}
}

// A client that breaks off a TLS handshake is disconnected.
func TestHalfAHandshakeEnds(t *testing.T) {
	for port, limit := range map[string]time.Duration{"grpc": rpcserver.ConnectTimeout, "http": server.HeaderTimeout} {
		for name, text := range map[string]string{
			"half a record's header":   "\x16\x03\x01",
			"half a ClientHello":       "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("x", 100),
			"nothing of the handshake": "",
		} {
			t.Run(port+"/"+name, func(t *testing.T) {
				secureBubble(t, nil, func(t *testing.T, s *system, _ *authorities) {
					conn := raw(t, s.ports()[port].port, text)
					if took := closedAfter(conn); took != limit {
						t.Errorf("it ended after %v, want %v", took, limit)
					}
				})
			})
		}
	}
}

// hangs checks that the connection of a hanging client ends at its limit.
func (s *system) hangs(t *testing.T, name string, secured *tls.Config) {
	t.Helper()
	row := hanging[name]
	conn, err := s.ports()[row.port].port.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if secured != nil {
		over := tls.Client(conn, secured)
		if err := over.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		conn = over
	}
	start := time.Now()
	var all sync.WaitGroup
	var took time.Duration
	all.Go(func() { _, _ = io.WriteString(conn, row.text) })
	all.Go(func() {
		_, _ = io.Copy(io.Discard, conn)
		took = time.Since(start)
	})
	<-time.After(time.Second)
	if secured == nil {
		s.served(t, name)
	}
	<-time.After(2 * time.Hour)
	_ = conn.Close()
	all.Wait()
	if name == "HTTP/2, half a preface" && secured != nil {
		row.limit = rpcserver.ConnectTimeout // Then net/http knows that the protocol is HTTP/2, which has a limit of its own.
	}
	if took != row.limit {
		t.Errorf("%s: it ended after %v, want %v", name, took, row.limit)
	}
}

// An answer for which an HTTP/2 client leaves no window ends at its limit, although the client answers pings.
func TestAnswersWithoutRoom(t *testing.T) {
	for port, block := range map[string]string{"http": getOpenAPI, "admin": getHealth} {
		t.Run(port, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				conn := raw(t, s.ports()[port].port, noWindow+headers(endStream|endHeaders, block))
				start := time.Now()
				if reset := resetAt(conn); reset.Sub(start) != server.AnswerTimeout {
					t.Errorf("the stream was reset after %v", reset.Sub(start))
				}
				_ = conn.Close()
			})
		})
	}
}

// resetAt answers the pings of an HTTP/2 connection until a stream is reset, for at most an hour, and returns the time of the
// reset.
func resetAt(conn net.Conn) time.Time {
	const ping, reset = 6, 3
	_ = conn.SetDeadline(time.Now().Add(time.Hour))
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil || head[3] == reset {
			return time.Now()
		}
		payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
		_, _ = io.ReadFull(conn, payload)
		if head[3] == ping && head[4] == 0 {
			head[4] = 1
			_, _ = conn.Write(append(head[:], payload...))
		}
	}
}

// An HTTP/1.1 client that does not read its answer is disconnected too.
func TestAnswersThatAreNotRead(t *testing.T) {
	for name, row := range map[string]struct {
		port, path string
	}{
		"a call": {"http", "/v1/tasks/" + exampleID}, "a document": {"http", "/openapi.json"}, "metrics": {"admin", "/metrics"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				r := request(t.Context(), t, row.path)
				r.URL.Host, r.Host = "localhost", "localhost"
				conn, err := s.ports()[row.port].port.Dial(t.Context(), "", "")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				go func() { _ = r.Write(conn) }()
				<-time.After(time.Second)
				s.served(t, name)
				<-time.After(server.AnswerTimeout)
				start := time.Now()
				if n, _ := io.Copy(io.Discard, conn); n > 0 || time.Since(start) > 0 {
					t.Errorf("the server waited for it: %d more bytes within %v", n, time.Since(start))
				}
			})
		})
	}
}

// However its clients hang, a stop ends in time, and calls that can end do.
func TestStopWithHangingClients(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		for _, row := range hanging {
			conn := raw(t, s.ports()[row.port].port, row.text)
			if strings.Contains(row.text, "never reads") {
				continue
			}
			go func() { _, _ = io.Copy(io.Discard, conn) }()
		}
		raw(t, s.httpPort, httpCall) // Its answer is not read.
		var gone atomic.Bool
		vanishing := &system{tasks: taskv1.NewTaskServiceClient(s.dial(t, grpc.WithContextDialer(
			func(ctx context.Context, _ string) (net.Conn, error) {
				conn, err := s.grpcPort.Dial(ctx, "", "")
				return mortal{conn, &gone}, err
			}))), http: httpClient(s.httpPort)}
		vanishing.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := s.httpPort.Dial(ctx, network, address)
			return mortal{conn, &gone}, err
		}
		ctx, leave := context.WithCancel(t.Context())
		var watches sync.WaitGroup
		for _, surface := range surfaces {
			watches.Go(func() { vanishing.follow(ctx, t, surface, taskID, func(event) {}) })
		}
		<-time.After(time.Second)
		gone.Store(true)
		s.koodrive.SetFault(&koodrivetest.Fault{Latency: 3 * time.Second})
		var answered sync.WaitGroup
		answered.Go(func() {
			if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
				t.Errorf("the call in flight: %v", err)
			}
		})
		synctest.Wait()
		start := time.Now()
		s.stop()
		answered.Wait()
		err := <-s.stopped
		if took := time.Since(start); took > server.DefaultGrace {
			t.Errorf("stopped with %v after %v", err, took)
		}
		s.stopped <- nil
		leave()
		vanishing.http.CloseIdleConnections()
		watches.Wait()
	})
}
