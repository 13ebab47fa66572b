package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// raw opens a connection and writes text to it, as far as the server reads.
func raw(t *testing.T, port *koodrivetest.Listener, text string) net.Conn {
	t.Helper()
	conn, err := port.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	go func() { _, _ = io.WriteString(conn, text) }()
	return conn
}

// closedAfter returns how long the server takes to close the connection.
func closedAfter(conn net.Conn) time.Duration {
	start := time.Now()
	_, _ = io.Copy(io.Discard, conn)
	return time.Since(start)
}

// Slow clients are disconnected.
func TestSlowClients(t *testing.T) {
	const head = "GET /v1/tasks/1 HTTP/1.1\r\nHost: kootask.test\r\n"
	for name, row := range map[string]struct {
		port string
		text string
		want time.Duration
	}{
		"HTTP, silent":           {"http", "", 5 * time.Second},
		"HTTP, half a header":    {"http", head, 5 * time.Second},
		"HTTP/2, half a preface": {"http", "PRI * HTTP/2.0\r\n\r\n", 5 * time.Second},
		"HTTP/2, no settings":    {"http", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 2 * time.Second},
		"HTTP, idle":             {"http", head + "\r\n", server.IdleTimeout},
		"admin, half a header":   {"admin", head, 5 * time.Second},
		"gRPC, silent":           {"grpc", "", 10 * time.Second},
		"gRPC, half a preface":   {"grpc", "PRI * HTTP/2.0\r\n", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				if got := closedAfter(raw(t, s.ports()[row.port].port, row.text)); got != row.want {
					t.Errorf("closed after %v, want %v", got, row.want)
				}
			})
		})
	}
}

// A request whose body does not arrive is answered, and its connection closed. A body of unknown length may be empty, which
// takes 1 s to find out.
func TestBodiesAreNotWaitedFor(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, line := range []string{"GET /v1/tasks/1", "GET /v1/tasks/1:watch", "POST /v1/tasks/1", "GET /nowhere", "GET /openapi.json"} {
			long := "X-Long: " + strings.Repeat("x", 20<<10) + "\r\nContent-Length: 5"
			for _, length := range []string{"Content-Length: 5", "Content-Length: 5000000", "Transfer-Encoding: chunked", long} {
				conn := raw(t, s.httpPort, line+" HTTP/1.1\r\nHost: kootask.test\r\n"+length+"\r\n\r\n")
				start := time.Now()
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				limit := time.Duration(0)
				if strings.HasSuffix(length, "chunked") {
					limit = time.Second
				}
				if err != nil || time.Since(start) > limit {
					t.Fatalf("%s, %.30s: %v after %v", line, length, err, time.Since(start))
				}
				_ = resp.Body.Close()
				if took := closedAfter(conn); took > 1500*time.Millisecond { // net/http adds up to 0.5 s for the answer to arrive.
					t.Errorf("%s, %.30s: closed after %v", line, length, took)
				}
			}
		}
	})
}

// Only the request with too large a header is refused: the stream of another request on its connection continues, over both
// versions of HTTP, whether one field is long or there are many.
func TestHeadersAreLimited(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1, 1, 1, 2)})
				if protocol == "HTTP/2.0" {
					h2c(s.http)
				}
				var dials atomic.Int32
				dial := s.httpPort.Dial
				s.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					dials.Add(1)
					return dial(ctx, network, address)
				}
				var other sync.WaitGroup
				other.Go(func() {
					events := s.watch(t.Context(), t, sse, taskID)
					if got := names(t, events); got[len(got)-1] != "end" {
						t.Errorf("the other stream: %q", got)
					}
				})
				synctest.Wait()
				for _, size := range []int{rpcserver.MaxHeader, 2 * rpcserver.MaxHeader, rpcserver.MaxHeaderRead * 7 / 8} {
					long := request(t.Context(), t, "/v1/tasks/"+exampleID, "X-Long", strings.Repeat("x", size))
					many := request(t.Context(), t, "/v1/tasks/"+exampleID)
					for range size / 500 {
						many.Header.Add("X-Many", strings.Repeat("x", 500-len("X-Many")-32))
					}
					many.Header.Add("X-Many", strings.Repeat("x", 500))
					for _, r := range []*http.Request{long, many} {
						resp, err := s.http.Do(r)
						if err != nil {
							t.Errorf("%d bytes: %v", size, err)
							continue
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						if _ = resp.Body.Close(); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge || resp.Proto != protocol {
							t.Errorf("%d bytes: %v", size, resp)
						}
					}
				}
				fits := request(t.Context(), t, "/v1/tasks/"+exampleID, "X-Long", strings.Repeat("x", rpcserver.MaxHeader-500))
				if resp, body := s.get(t, fits); resp.StatusCode != http.StatusOK {
					t.Errorf("HTTP %d: %s", resp.StatusCode, body)
				}
				other.Wait()
				if want := map[string]int32{"HTTP/1.1": 2, "HTTP/2.0": 1}[protocol]; dials.Load() != want {
					t.Errorf("%d connections, want %d", dials.Load(), want)
				}
			})
		})
	}
}

// One connection to a public port has room for 1,000 calls. For more, a gRPC client waits, and an HTTP client opens another one.
// Other clients are served. Behind the gateway all HTTP clients share one connection, which has no limit.
func TestStreams(t *testing.T) {
	t.Parallel()
	const watches = rpcserver.MaxStreams + 50
	for name, row := range map[string]struct {
		surface       string
		http2         bool
		served, conns int32 // conns counts connections over HTTP.
	}{
		"gRPC":     {"grpc", false, rpcserver.MaxStreams, 1},
		"HTTP/2":   {ndjson, true, watches, 2},
		"HTTP/1.1": {ndjson, false, watches, watches},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID})
				crowd := &system{tasks: s.tasks, http: httpClient(s.httpPort)}
				other := &system{tasks: taskv1.NewTaskServiceClient(s.dial(t)), http: s.http}
				var served, conns atomic.Int32
				transport := crowd.http.Transport.(*http.Transport)
				transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					conns.Add(1)
					return s.httpPort.Dial(ctx, network, address)
				}
				if row.http2 {
					h2c(crowd.http).MaxConnsPerHost = 1 // Beside those that are full.
				}
				crowd.get(t, request(t.Context(), t, "/openapi.json")) // Over the connection that the watches then share.
				ctx, leave := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for range watches {
					all.Go(func() {
						crowd.follow(ctx, t, row.surface, taskID, func(e event) {
							if e.name == "task" {
								served.Add(1)
							}
						})
					})
				}
				synctest.Wait()
				if served.Load() != row.served || conns.Load() != row.conns {
					t.Errorf("%d watches are served, over %d HTTP connections", served.Load(), conns.Load())
				}
				other.served(t, name)
				leave()
				all.Wait()
				crowd.http.CloseIdleConnections()
			})
		})
	}
}

// served checks that watches are served at once.
func (s *system) served(t *testing.T, name string) {
	t.Helper()
	everySurface(t, func(surface string) {
		events := s.watch(t.Context(), t, surface, exampleID)
		if last := events[len(events)-1]; last.name != "end" || last.at > 0 {
			t.Errorf("%s: on another connection %s sees %+v", name, surface, last)
		}
	})
}

// Silent connections, and those that stop in the middle of a request, take nothing from others, and end.
func TestHalfOpenConnections(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		start := time.Now()
		var overHTTP, overGRPC []net.Conn
		for range 1250 {
			overHTTP = append(overHTTP, raw(t, s.httpPort, ""), raw(t, s.httpPort, "GET /v1/tasks/1 HTTP/1.1\r\n"))
			overGRPC = append(overGRPC, raw(t, s.grpcPort, ""), raw(t, s.grpcPort, "PRI * HTTP/2.0\r\n"))
		}
		synctest.Wait()
		s.served(t, "among 5,000 half-open connections")
		for _, row := range []struct {
			conns []net.Conn
			after time.Duration
		}{{overHTTP, 5 * time.Second}, {overGRPC, 10 * time.Second}} {
			for _, conn := range row.conns {
				closedAfter(conn)
			}
			if got := time.Since(start); got != row.after {
				t.Errorf("the last one ended after %v, want %v", got, row.after)
			}
		}
	})
}

// Silent connections do not delay a stop, and neither does a client that does not finish its request.
func TestStopDoesNotWaitForTheSilent(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		raw(t, s.httpPort, "")
		raw(t, s.grpcPort, "")
		synctest.Wait()
		start := time.Now()
		s.stop()
		if err := <-s.stopped; err != nil || time.Since(start) > time.Second {
			t.Errorf("stopped with %v after %v", err, time.Since(start))
		}
		s.stopped <- nil
	})
	bubble(t, nil, func(t *testing.T, s *system) {
		raw(t, s.httpPort, "GET /v1/tasks/1 HTTP/1.1\r\n")
		raw(t, s.grpcPort, "PRI * HTTP/2.0\r\n")
		s.koodrive.SetFault(&koodrivetest.Fault{Latency: 3 * time.Second})
		done := make(chan error)
		go func() {
			_, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID})
			done <- err
		}()
		synctest.Wait()
		start := time.Now()
		s.stop()
		synctest.Wait()
		if _, err := s.grpcPort.Dial(t.Context(), "", ""); err == nil {
			t.Error("the gRPC port still takes connections")
		}
		if err := <-done; err != nil {
			t.Errorf("the call in flight: %v", err)
		}
		if err := <-s.stopped; time.Since(start) > 20*time.Second {
			t.Errorf("stopped with %v after %v", err, time.Since(start))
		}
		s.stopped <- nil
	})
}

func TestOptionsOfTheServer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		conn := raw(t, s.httpPort, "OPTIONS * HTTP/1.1\r\nHost: kootask.test\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(conn)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 404 ") || !strings.Contains(string(answer), "ROUTE_NOT_FOUND") {
			t.Error(fmt.Sprint(err), string(answer))
		}
	})
}
