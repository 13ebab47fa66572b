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

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/internal/certificates"
)

// lane is the path to KooDrive, over TLS. It hangs in a given way until it is freed.
type lane struct {
	hangs    atomic.Bool
	released chan struct{} // Closed at the end, so that connections that ignore everything else return.
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

// accepting accepts connections, and serves each.
func accepting(serve func(l *lane, conn net.Conn)) func(*lane, context.Context) (net.Conn, error) {
	return func(l *lane, _ context.Context) (net.Conn, error) {
		return l.accept(func(conn net.Conn) { serve(l, conn) }), nil
	}
}

// begins is a KooDrive that writes a text when a request has arrived, and then drip, if it is not empty, repeatedly
// until the connection ends.
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

// deaf is a connection that ignores everything, Close too, from a number of reads or writes on, until it is released.
type deaf struct {
	net.Conn
	lane          *lane
	reads, writes atomic.Int32 // Reads and writes that are left.
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

// ignoring is a KooDrive that begins a body, over connections that turn deaf.
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

// many is more than a connection is ever read or written.
const many = 1000

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

// free lets the lane work again, and checks that no request is left in flight.
func (l *lane) free(t *testing.T, s *system) {
	t.Helper()
	l.hangs.Store(false)
	if n := s.scrape(t)["kootask_upstream_requests_in_flight"]; n != 0 {
		t.Errorf("%v requests are in flight", n)
	}
}
