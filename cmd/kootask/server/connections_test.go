package server_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// http2Hello opens a connection without a call; httpCall and grpcCall are calls. The latter calls a method that does not exist,
// which counts like any other.
const (
	http2Hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	httpCall   = "GET /openapi.json HTTP/1.1\r\nHost: kootask.test\r\n\r\n"
	grpcHeader = "\x83\x86\x44\x02/x\x41\x01x" + "\x00\x0ccontent-type\x10application/grpc" + "\x40\x02te\x08trailers"
)

var grpcCall = http2Hello + string([]byte{0, 0, byte(len(grpcHeader)), 1, 5, 0, 0, 0, 1}) + grpcHeader

// connect opens a connection, sends text and reads all that comes. It returns when the server has nothing more to send.
func (s *system) connect(t *testing.T, port *koodrivetest.Listener, text string) (closed func() bool) {
	t.Helper()
	conn := raw(t, port, text)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, conn)
	}()
	synctest.Wait()
	return func() bool {
		synctest.Wait()
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

// client connects to the gRPC port as real clients do, which answer pings. If busy, it makes a call.
func (s *system) client(t *testing.T, busy bool) (closed func() bool) {
	t.Helper()
	conn := s.dial(t, grpc.WithIdleTimeout(0))
	conn.Connect()
	synctest.Wait()
	if busy {
		_, _ = healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{})
	}
	return func() bool {
		synctest.Wait()
		return conn.GetState() != connectivity.Ready
	}
}

// ports are the public ports, with the bytes that are sent to them. An HTTP connection that sends nothing is closed after 5 s anyway.
func (s *system) ports() map[string]struct {
	port        *koodrivetest.Listener
	hello, call string
} {
	type row = struct {
		port        *koodrivetest.Listener
		hello, call string
	}
	return map[string]row{
		"grpc": {s.grpcPort, http2Hello, grpcCall}, "http": {s.httpPort, "", httpCall}, "admin": {s.adminPort, "", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	}
}

// room returns the number of open connections, and how many were closed for each reason.
func (s *system) room(t *testing.T, port string) (open float64, closed string) {
	t.Helper()
	m := s.scrape(t)
	count := func(reason string) string {
		return fmt.Sprint(m[`kootask_connections_closed_total{port="`+port+`",reason="`+reason+`"}`])
	}
	return m[`kootask_connections{port="`+port+`"}`], count("never_used") + " " + count("peer_full") + " " + count("port_full")
}

// newcomers checks that clients at a new address are served at both ports and at the admin port.
func (s *system) newcomers(t *testing.T, when, address string) {
	t.Helper()
	s.comeFrom(address)
	conn := s.dial(t)
	if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("%s: gRPC for a newcomer: %v", when, err)
	}
	client := httpClient(s.httpPort)
	resp, err := client.Do(request(t.Context(), t, "/v1/tasks/"+exampleID))
	if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: HTTP for a newcomer: %v, %v", when, resp, err)
	}
	client.CloseIdleConnections()
	_ = conn.Close()
	probe := httpClient(s.adminPort)
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if resp, err := probe.Get("http://localhost" + path); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: %v, %v", when, path, resp, err)
		}
	}
	probe.CloseIdleConnections()
	synctest.Wait()
}

func limited(c *server.Config) { c.MaxConnections = 20 }

// One address gets at most half of a port's connections, of any kind and at any port. Others and the probes are still served.
func TestOneAddressCannotTakeAllConnections(t *testing.T) {
	for _, name := range []string{"grpc", "http", "admin"} {
		for _, used := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, used: %v", name, used), func(t *testing.T) {
				bubble(t, limited, func(t *testing.T, s *system) {
					port, half := s.ports()[name], 10
					text, want := port.hello, "290 0 0"
					if name == "admin" {
						half, want = server.AdminConnections/2, "284 0 0"
					}
					if used {
						text, want = port.call, strings.Join(strings.Fields("0 "+strings.Fields(want)[0]+" 0"), " ")
					}
					s.comeFrom("192.0.2.1:1000")
					s.scrape(t) // Over a connection that stays open.
					s.comeFrom("192.0.2.9:1000")
					var closed []func() bool
					for range 300 {
						closed = append(closed, s.connect(t, port.port, text))
					}
					stay := 0
					for i, closed := range closed {
						if !closed() {
							stay++
							if first := i < half; first != used { // Of connections without a call, the newest stay.
								t.Errorf("connection %d stays", i)
							}
						}
					}
					open, shut := s.room(t, name)
					if name == "admin" {
						open-- // The connection of the scrape.
					}
					if stay != half || open != float64(half) || shut != want {
						t.Errorf("%d stay, %v are open, closed were %s, want %s", stay, open, shut, want)
					}
					for i := range 5 {
						s.newcomers(t, fmt.Sprint("one address has half of ", name), fmt.Sprintf("198.51.100.%d:1", i))
					}
					time.Sleep(time.Hour) // Idle HTTP connections are then closed too.
					if open, _ := s.room(t, name); name != "grpc" && open > 1 {
						t.Errorf("%v connections are open in the end", open)
					}
				})
			})
		}
	}
}

// While a port has room, it keeps connections without a call. A full port closes the oldest of them for a newcomer, and never one
// that has made a call.
func TestFullPortMakesRoom(t *testing.T) {
	bubble(t, limited, func(t *testing.T, s *system) {
		var idle, busy []func() bool
		for i := range 20 {
			s.comeFrom(fmt.Sprintf("192.0.2.%d:1", 10+i))
			if i%2 == 0 {
				idle = append(idle, s.client(t, false))
			} else {
				busy = append(busy, s.client(t, true))
			}
		}
		time.Sleep(10 * time.Minute)
		for n := range 11 {
			for i, closed := range idle {
				if closed() != (i < n) {
					t.Errorf("after %d newcomers, idle connection %d is closed: %v", n, i, closed())
				}
			}
			s.comeFrom(fmt.Sprintf("198.51.100.%d:1", n))
			if refused := s.client(t, true)(); refused != (n == 10) {
				t.Errorf("newcomer %d is refused: %v", n, refused)
			}
		}
		for i, closed := range busy {
			if closed() {
				t.Errorf("busy connection %d is closed", i)
			}
		}
		if open, closed := s.room(t, "grpc"); open != 20 || closed != "10 0 1" {
			t.Errorf("%v are open, closed were %s", open, closed)
		}
	})
}

// An IPv6 network counts as one address. Behind proxies the address of a connection is not the client's.
func TestConnectionsAreCountedByAddress(t *testing.T) {
	for name, row := range map[string]struct {
		address string
		hops    int
		want    int
	}{
		"IPv4, one address":      {"192.0.2.9:%[2]d", 0, 10},
		"IPv4, many addresses":   {"192.0.2.%[1]d:%[2]d", 0, 20},
		"IPv6, one network":      {"[2001:db8::%[1]x:0:0:1]:%[2]d", 0, 10},
		"IPv6, many networks":    {"[2001:db8:0:%[1]x00::1]:%[2]d", 0, 20},
		"IPv4 in IPv6":           {"[::ffff:192.0.2.9]:%[2]d", 0, 10},
		"one proxy":              {"192.0.2.9:%[2]d", 1, 20},
		"one proxy's IPv6":       {"[2001:db8::1]:%[2]d", 2, 20},
		"loopback":               {"127.0.0.1:%[2]d", 0, 10},
		"loopback, behind nginx": {"127.0.0.1:%[2]d", 1, 20},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(c *server.Config) { limited(c); c.Auth.TrustedHops = row.hops }, func(t *testing.T, s *system) {
				var stay int
				var closed []func() bool
				for i := range 30 {
					if strings.Contains(row.address, "%[1]") {
						s.comeFrom(fmt.Sprintf(row.address, 1+i, 1000+i))
					} else {
						s.comeFrom(fmt.Sprintf(strings.ReplaceAll(row.address, "%[2]", "%"), 1000+i))
					}
					closed = append(closed, s.connect(t, s.grpcPort, grpcCall))
				}
				for _, closed := range closed {
					if !closed() {
						stay++
					}
				}
				if stay != row.want {
					t.Errorf("%d connections stay, want %d", stay, row.want)
				}
			})
		})
	}
}

// Connections that are closed for lack of room are logged once per address and minute, with bounded memory.
func TestRefusedConnectionsAreLoggedSparingly(t *testing.T) {
	lines := func(s *system) int { return strings.Count(s.log.String(), "connection closed, limit reached") }
	bubble(t, limited, func(t *testing.T, s *system) {
		for i := range 20 {
			s.comeFrom(fmt.Sprintf("192.0.2.%d:1", i))
			s.client(t, true)
		}
		for _, want := range []int{2, 4} {
			for i := range 50 {
				s.comeFrom(fmt.Sprintf("198.51.100.%d:1", i%2))
				s.connect(t, s.grpcPort, http2Hello)
			}
			if n := lines(s); n != want {
				t.Errorf("%d lines, want %d", n, want)
			}
			time.Sleep(time.Minute)
		}
		for i := range 3000 {
			s.comeFrom(fmt.Sprintf("10.0.%d.%d:1", i/250, i%250))
			if conn, err := s.grpcPort.Dial(t.Context(), "", ""); err == nil {
				_ = conn.Close()
			}
			synctest.Wait()
		}
		if n := lines(s); n != 1004 {
			t.Errorf("%d lines for 3,000 addresses", n)
		}
		if open, closed := s.room(t, "grpc"); open != 20 || closed != "0 0 3100" {
			t.Errorf("%v are open, closed were %s", open, closed)
		}
		if !strings.Contains(s.log.String(), `"port":"grpc","peer":"198.51.100.0","reason":"port_full","max_connections":20`) {
			t.Errorf("the log: %.500s", s.log)
		}
	})
}

// A client whose connection was closed to make room reconnects.
func TestClientsComeBackWhenTheirConnectionMadeRoom(t *testing.T) {
	bubble(t, limited, func(t *testing.T, s *system) {
		early := s.dial(t, grpc.WithIdleTimeout(0))
		early.Connect()
		synctest.Wait()
		for i := range 20 {
			s.comeFrom(fmt.Sprintf("192.0.2.%d:1", 10+i))
			s.connect(t, s.grpcPort, http2Hello)
		}
		if _, closed := s.room(t, "grpc"); closed != "1 0 0" {
			t.Errorf("closed were %s", closed)
		}
		if _, err := healthv1.NewHealthClient(early).Check(t.Context(), &healthv1.HealthCheckRequest{}, grpc.WaitForReady(true)); err != nil {
			t.Error(err)
		}
	})
}
