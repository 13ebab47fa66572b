package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/bounded"
	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/reason"
)

// lane is the way to KooDrive, which speaks TLS, while something on it hangs, and when that is over.
type lane struct {
	hangs    atomic.Bool
	released chan struct{} // Closed at the end, to release goroutines that ignore everything else.
	peers    sync.WaitGroup
	koodrive func(ctx context.Context, network, address string) (net.Conn, error)
	cert     tls.Certificate
	viaProxy bool
	hang     func(l *lane, ctx context.Context) (net.Conn, error) // The dial, while the lane hangs.
}

// dial opens a connection to KooDrive, or to the proxy before it.
func (l *lane) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if l.hangs.Load() {
		return l.hang(l, ctx)
	}
	there, err := l.koodrive(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return l.accept(func(conn net.Conn) {
		if l.viaProxy && !tunnel(conn) {
			_ = there.Close()
			return
		}
		secured := l.secure(conn)
		go func() {
			_, _ = io.Copy(there, secured)
			_ = there.Close()
		}()
		_, _ = io.Copy(secured, there)
	}), nil
}

// accept returns a connection whose other end is served.
func (l *lane) accept(serve func(net.Conn)) net.Conn {
	near, far := net.Pipe()
	l.peers.Go(func() {
		defer far.Close()
		serve(far)
	})
	return near
}

func (l *lane) secure(conn net.Conn) net.Conn {
	return tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{l.cert}})
}

// tunnel answers CONNECT.
func tunnel(conn net.Conn) bool {
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return false
	}
	_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	return err == nil
}

// accepting is a peer that accepts connections, and serves each.
func accepting(serve func(l *lane, conn net.Conn)) func(*lane, context.Context) (net.Conn, error) {
	return func(l *lane, _ context.Context) (net.Conn, error) {
		return l.accept(func(conn net.Conn) { serve(l, conn) }), nil
	}
}

// begins is a KooDrive that writes a text when a request has come, and then drips, if there is something to, until the
// connection ends.
func begins(text, drip string) func(l *lane, conn net.Conn) {
	return func(l *lane, conn net.Conn) {
		secured := l.secure(conn)
		if _, err := http.ReadRequest(bufio.NewReader(secured)); err != nil {
			return
		}
		_, err := io.WriteString(secured, text)
		for err == nil && drip != "" {
			<-time.After(time.Second)
			_, err = io.WriteString(secured, drip)
		}
		silent(l, secured)
	}
}

// silent reads until the connection ends.
func silent(_ *lane, conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// unread does not even read.
func unread(l *lane, _ net.Conn) { <-l.released }

// deaf is a connection that from a number of reads or writes on ignores everything, its end too, until it is released.
type deaf struct {
	net.Conn
	lane          *lane
	reads, writes atomic.Int32 // Those that are left.
}

func (d *deaf) Read(b []byte) (int, error) {
	if d.reads.Add(-1) < 0 {
		<-d.lane.released
		return 0, net.ErrClosed
	}
	return d.Conn.Read(b)
}

func (d *deaf) Write(b []byte) (int, error) {
	if d.writes.Add(-1) < 0 {
		<-d.lane.released
		return 0, net.ErrClosed
	}
	return d.Conn.Write(b)
}

func (d *deaf) Close() error {
	select {
	case <-d.lane.released:
		return d.Conn.Close()
	default:
		return nil
	}
}

// ignoring is a KooDrive that begins a body, over connections that then stop reading.
func ignoring(reads, writes int32) func(*lane, context.Context) (net.Conn, error) {
	return func(l *lane, _ context.Context) (net.Conn, error) {
		d := &deaf{lane: l, Conn: l.accept(func(conn net.Conn) {
			begins("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "")(l, conn)
			<-l.released
		})}
		d.reads.Store(reads)
		d.writes.Store(writes)
		go func() {
			<-l.released
			_ = d.Conn.Close()
		}()
		return d, nil
	}
}

// many is more than a connection is read or written.
const many = 1000

// ways are the ways in which the path to KooDrive can hang, each with the time that an attempt then takes and how it
// ends.
var ways = []struct {
	name   string
	proxy  bool
	hang   func(*lane, context.Context) (net.Conn, error)
	limit  time.Duration
	reason string
}{
	{"KooDrive accepts and says nothing", false, accepting(func(l *lane, conn net.Conn) { begins("", "")(l, conn) }), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips its header", false, accepting(begins("HTTP/1.1 200 OK\r\nX-Pad: ", "x")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips its body", false, accepting(begins("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", " ")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips chunks", false, accepting(begins("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips a body without end", false, accepting(begins("HTTP/1.1 200 OK\r\n\r\n{", " ")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips a refusal", false, accepting(begins("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n{", " ")), 20 * time.Second, "UPSTREAM_UNAVAILABLE"},
	{"KooDrive switches protocols", false, accepting(begins("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "")), 0, "UPSTREAM_CONTRACT_VIOLATION"},
	{"KooDrive switches protocols and drips", false, accepting(begins("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "x")), 0, "UPSTREAM_CONTRACT_VIOLATION"},
	{"KooDrive drips 103", false, accepting(begins("", "HTTP/1.1 103 Early Hints\r\n\r\n")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive hangs in TLS", false, accepting(silent), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive reads nothing", false, accepting(unread), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport does not return from TLS", false, ignoring(1, many), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport does not return from writing", false, ignoring(many, 2), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport does not return from the header", false, ignoring(3, many), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport does not return from the body", false, ignoring(4, many), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport cannot even close", false, ignoring(4, 3), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the proxy accepts and says nothing", true, accepting(silent), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the proxy reads nothing", true, accepting(unread), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the proxy hangs after CONNECT", true, accepting(func(l *lane, conn net.Conn) {
		tunnel(conn)
		silent(l, conn)
	}), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the resolver never answers", false, func(_ *lane, ctx context.Context) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.DNSError{Err: ctx.Err().Error(), Name: "koodrive.test", IsTimeout: true}
	}, 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the resolver never returns", false, func(l *lane, _ context.Context) (net.Conn, error) {
		<-l.released
		return nil, net.ErrClosed
	}, 10 * time.Second, "UPSTREAM_TIMEOUT"},
}

// Whatever hangs on the way to KooDrive, an attempt ends at its limit with its reason, and its slot comes back: when the way is
// free, the next call is answered at once, and so is the watch with its next poll. A stop waits for none of it.
func TestDeadlineMatrix(t *testing.T) {
	for _, way := range ways {
		for name, check := range map[string]func(*testing.T, *system, *lane){
			"get":   func(t *testing.T, s *system, l *lane) { getHangs(t, s, l, way.limit, way.reason) },
			"watch": func(t *testing.T, s *system, l *lane) { watchHangs(t, s, l, way.limit, way.reason) },
			"drain": drainHangs,
		} {
			t.Run(way.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				l := &lane{viaProxy: way.proxy, hang: way.hang}
				l.hangs.Store(true)
				bubble(t, l.configure, func(t *testing.T, s *system) {
					check(t, s, l)
					s.stop()
					err := <-s.stopped // Before anything is released.
					s.stopped <- err
					close(l.released) // All goroutines then end, or the bubble complains.
					l.peers.Wait()
				})
			})
		}
	}
}

func (l *lane) configure(c *server.Config) {
	ca := certificates.NewCA()
	pool := ca.Pool()
	l.released, l.cert, l.koodrive = make(chan struct{}), ca.Server("koodrive.test").TLS, c.Upstream.Dial
	c.Upstream.BaseURL, c.Upstream.AllowHTTP, c.Upstream.Dial = "https://koodrive.test", false, l.dial
	c.Upstream.RootCAs = func() *x509.CertPool { return pool }
	c.Upstream.AtOnce = 2
	if l.viaProxy {
		c.Upstream.Proxy = &url.URL{Scheme: "http", Host: "proxy.test:3128"}
	}
}

// free releases everything that hangs, and checks that nothing is left.
func (l *lane) free(t *testing.T, s *system) {
	t.Helper()
	l.hangs.Store(false)
	if n := s.scrape(t)["kootask_upstream_requests_in_flight"]; n != 0 {
		t.Errorf("%v requests are in flight", n)
	}
}

func getHangs(t *testing.T, s *system, l *lane, limit time.Duration, want string) {
	var all sync.WaitGroup
	start := time.Now()
	for _, id := range []string{"t-1", "t-2", "t-3"} { // One more than there are slots.
		all.Go(func() {
			_, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: id})
			name, _ := reason.Read(status.Convert(err))
			if took := time.Since(start); took > limit+2*bounded.Obedience+time.Second || name != want && name != "SERVER_OVERLOADED" {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
	all.Wait()
	l.free(t, s)
	start = time.Now()
	for range 3 {
		if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID, MaxAge: noAge}); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("three calls took %v", took)
	}
}

func watchHangs(t *testing.T, s *system, l *lane, limit time.Duration, want string) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	told, answered := make(chan string, 1), make(chan bool, 1)
	go s.followGRPC(ctx, exampleID, func(e event) {
		why := e.beat.GetFailureReason()
		if e.err != nil {
			why, _ = reason.Read(status.Convert(e.err))
		}
		if why != "" {
			select {
			case told <- why:
			default: // It was released before.
			}
		}
		if e.task != nil {
			select {
			case answered <- true:
			default:
			}
		}
	})
	start := time.Now()
	if got := <-told; got != want {
		t.Errorf("the watch says %s", got)
	}
	if took := time.Since(start); took > limit+bounded.Obedience+service.DefaultHeartbeat {
		t.Errorf("it says so after %v", took)
	}
	<-time.After(time.Minute)
	l.hangs.Store(false)
	if limit == 0 { // The first answer was the call's own.
		leave()
	} else {
		<-answered
		if took := time.Since(start); took > 4*time.Minute {
			t.Errorf("the task is there after %v", took)
		}
	}
	<-time.After(limit + time.Second)
	l.free(t, s)
}

func drainHangs(t *testing.T, s *system, _ *lane) {
	var all sync.WaitGroup
	for _, id := range []string{"t-1", "t-2"} {
		all.Go(func() { s.followGRPC(t.Context(), id, func(event) {}) })
	}
	all.Go(func() { _, _ = s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: "t-3"}) })
	<-time.After(time.Second)
	start := time.Now()
	s.stop()
	err := <-s.stopped
	if took := time.Since(start); err != nil || took > server.DefaultGrace {
		t.Errorf("stopped with %v after %v", err, took)
	}
	s.stopped <- nil
	all.Wait()
}
