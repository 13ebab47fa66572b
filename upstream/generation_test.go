package upstream_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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

// A connection that is never idle is replaced when it reaches its maximum age, without failing a request in flight or a
// later one.
func TestConnectionsAge(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, _ *upstream.Client) {
		listener := koodrivetest.Listen()
		var open, dials atomic.Int32
		c := connectTo(t, k, listener, upstream.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			open.Add(1)
			conn, err := listener.Dial(ctx, network, address)
			return &counted{Conn: conn, open: &open}, err
		}})
		const hour = 3600
		k.SetFault(&koodrivetest.Fault{Latency: 1900 * time.Millisecond})
		var all sync.WaitGroup
		for range hour {
			all.Go(func() { // Two at a time.
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
					t.Error(err)
				}
			})
			time.Sleep(time.Second)
			if n := open.Load(); n > 4 {
				t.Fatalf("%d connections are open", n)
			}
		}
		all.Wait()
		generations := int32(hour * time.Second / upstream.ConnectionAge)
		if n := dials.Load(); n < 2*generations*8/10 || n > 2*generations*13/10 {
			t.Errorf("%d connections in an hour", n)
		}
		c.Close()
		synctest.Wait()
		if open.Load() != 0 {
			t.Errorf("%d connections are open at the end", open.Load())
		}
	})
}

// If KooDrive moves to another machine, kootask finds it after enough failures, although the old machine keeps its connections
// open.
func TestOpenCircuitMakesNewConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var moved atomic.Bool
		old, fresh := koodrivetest.New(), koodrivetest.New()
		for _, k := range []*koodrivetest.KooDrive{old, fresh} {
			k.AddToken(token, 0)
		}
		here, there := koodrivetest.Listen(), koodrivetest.Listen()
		connectTo(t, fresh, there, upstream.Config{})
		c := connectTo(t, old, here, upstream.Config{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if moved.Load() {
				return there.Dial(ctx, network, address)
			}
			return here.Dial(ctx, network, address)
		}})
		if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
			t.Fatal(err)
		}
		moved.Store(true)
		old.SetFault(koodrivetest.Answer(503, ""))
		start := time.Now()
		for {
			if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err == nil {
				break
			}
			time.Sleep(400 * time.Millisecond)
			if time.Since(start) > 20*time.Second {
				t.Fatal("it is not found")
			}
		}
		if fresh.Count() != 1 {
			t.Errorf("%d requests at the new machine", fresh.Count())
		}
	})
}

// New roots cause new connections, so a certificate that is trusted no longer is refused, and a newly trusted one is accepted.
func TestRootsAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, trustOne := certificate(t)
		two, trustTwo := certificate(t)
		both := trustOne.Clone()
		der, _ := x509.ParseCertificate(two.Certificate[0])
		both.AddCert(der)
		var shown atomic.Pointer[tls.Certificate]
		var roots atomic.Pointer[x509.CertPool]
		k := koodrivetest.New()
		k.AddToken(token, 0)
		var accepted atomic.Int32
		server := &http.Server{Handler: k, ErrorLog: quiet, TLSConfig: &tls.Config{
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				accepted.Add(1)
				return shown.Load(), nil
			},
		}}
		listener := koodrivetest.Listen()
		go func() { _ = server.ServeTLS(listener, "", "") }()
		defer server.Close()
		c, err := upstream.NewClient(upstream.Config{BaseURL: "https://koodrive.test", RootCAs: roots.Load, Dial: listener.Dial})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i, step := range []struct {
			shown   *tls.Certificate
			roots   *x509.CertPool
			trusted bool
			dials   int32
		}{
			{&one, trustOne, true, 1},
			{&one, trustOne, true, 1},
			{&one, trustOne.Clone(), true, 1}, // A different pool with the same certificates.
			{&one, both, true, 2},
			{&two, both, true, 2}, // On the open connection.
			{&two, trustOne, false, 3},
			{&two, trustTwo, true, 4},
			{&two, nil, false, 5},
			{&one, trustOne, true, 6},
		} {
			shown.Store(step.shown)
			roots.Store(step.roots)
			_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
			if fault, _ := unreachable(err); (err == nil) != step.trusted || err != nil && fault != upstream.Untrusted {
				t.Errorf("step %d: %v", i, err)
			}
			if accepted.Load() != step.dials {
				t.Errorf("step %d: %d connections, want %d", i, accepted.Load(), step.dials)
			}
		}
	})
}
