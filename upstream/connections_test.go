package upstream_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// certificate is valid for koodrive.test, for a while of virtual time.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	return certificateFor(t, "koodrive.test")
}

func certificateFor(t *testing.T, host string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// hole is a connection that, once it is dead, delivers nothing in either direction and reports no error.
type hole struct {
	net.Conn
	dead   atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func (h *hole) Write(b []byte) (int, error) {
	if h.dead.Load() {
		return len(b), nil
	}
	return h.Conn.Write(b)
}

func (h *hole) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	if h.dead.Load() {
		<-h.closed
		return 0, net.ErrClosed
	}
	return n, err
}

func (h *hole) Close() error {
	h.once.Do(func() { close(h.closed) })
	return h.Conn.Close()
}

// A connection that a middlebox has silently dropped is soon given up: HTTP/2 would put every request on it.
func TestDeadConnectionIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.AddToken(token, 0)
		cert, pool := certificate(t)
		listener := koodrivetest.Listen()
		var overHTTP2 atomic.Int32
		server := &http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor == 2 {
					overHTTP2.Add(1)
				}
				k.ServeHTTP(w, r)
			}),
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}},
		}
		go func() { _ = server.ServeTLS(listener, "", "") }()
		var holes []*hole
		c, err := upstream.NewClient(upstream.Config{
			BaseURL: "https://koodrive.test", RootCAs: always(pool),
			Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := listener.Dial(ctx, network, address)
				holes = append(holes, &hole{Conn: conn, closed: make(chan struct{})})
				return holes[len(holes)-1], err
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		defer c.Close()
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil || overHTTP2.Load() != 1 {
			t.Fatalf("%v, %d requests over HTTP/2", err, overHTTP2.Load())
		}
		holes[0].dead.Store(true)
		start := time.Now()
		for {
			_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
			if err == nil {
				break
			}
			var fault *upstream.TransportError
			if time.Since(start) > 30*time.Second || !errors.As(err, &fault) {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
		}
		if len(holes) != 2 || k.Count() != 2 {
			t.Errorf("%d connections, %d requests", len(holes), k.Count())
		}
	})
}

// counted is a connection that counts itself while it is open.
type counted struct {
	net.Conn
	open *atomic.Int32
	once sync.Once
}

func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

// There are never more connections than concurrent requests, and connections are kept alive.
func TestConnectionsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.AddToken(token, 0)
		k.SetFault(&koodrivetest.Fault{Latency: 100 * time.Millisecond})
		listener := koodrivetest.Listen()
		var open, dials, most atomic.Int32
		const atOnce = 5
		c := connectTo(t, k, listener, upstream.Config{
			PerSecond: 10_000, AtOnce: atOnce,
			Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := listener.Dial(ctx, network, address)
				dials.Add(1)
				most.Store(max(most.Load(), open.Add(1)))
				return &counted{Conn: conn, open: &open}, err
			},
		})
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				q, call := query(t, c), upstream.Call{}
				call.Queue = upstream.Key{byte(i)} // One caller alone would get half of them.
				if _, err := c.Task(t.Context(), q, call); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most.Load() != atOnce || dials.Load() != atOnce {
			t.Errorf("%d connections at a time, %d in all", most.Load(), dials.Load())
		}
		time.Sleep(time.Minute)
		if open.Load() != 0 {
			t.Errorf("%d connections are kept after a minute", open.Load())
		}
	})
}
