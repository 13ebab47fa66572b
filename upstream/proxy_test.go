package upstream_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// proxy is an in-memory proxy in front of a KooDrive.
type proxy struct {
	listener, koodrive *koodrivetest.Listener
	answer             atomic.Pointer[string] // Written in place of the proxy's answer, if set.
	hangs              atomic.Bool            // Does not answer.
	wanted             string                 // The Proxy-Authorization that it requires.
	certificate        *tls.Certificate       // Its certificate, if it is reached over https.
}

func (p *proxy) run() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		if p.certificate != nil {
			conn = tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*p.certificate}})
		}
		go p.serve(conn)
	}
}

func (p *proxy) serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	req, err := http.ReadRequest(reader)
	if err != nil {
		return
	}
	if p.hangs.Load() {
		_, _ = conn.Read(make([]byte, 1))
		return
	}
	if answer := p.answer.Load(); answer != nil {
		_, _ = io.WriteString(conn, *answer)
		return
	}
	if req.Header.Get("Proxy-Authorization") != p.wanted {
		_, _ = io.WriteString(conn, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
		return
	}
	there, err := p.koodrive.Dial(context.Background(), "", "")
	if err != nil {
		return
	}
	defer there.Close()
	if req.Method == http.MethodConnect {
		if req.Host != "koodrive.test:443" {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Not "+req.Host+"\r\n\r\n")
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	} else if err := req.Write(there); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(there, reader)
		_ = there.Close()
	}()
	_, _ = io.Copy(conn, there)
}

// through returns a client that reaches a KooDrive through p, with the schemes of both.
func (p *proxy) through(t *testing.T, scheme, proxyURL string) *upstream.Client {
	t.Helper()
	p.listener, p.koodrive = koodrivetest.Listen(), koodrivetest.Listen()
	k := koodrivetest.New()
	k.AddToken(token, 0)
	cert, pool := certificate(t)
	server := &http.Server{Handler: k, ErrorLog: quiet, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}}}
	go func() {
		if scheme == "https" {
			_ = server.ServeTLS(p.koodrive, "", "")
		} else {
			_ = server.Serve(p.koodrive)
		}
	}()
	where, err := url.Parse(proxyURL)
	if err != nil {
		t.Fatal(err)
	}
	if where.Scheme == "https" {
		own, _ := certificateFor(t, "proxy.test")
		p.certificate = &own
		parsed, _ := x509.ParseCertificate(own.Certificate[0])
		pool.AddCert(parsed)
	}
	go p.run()
	c, err := upstream.NewClient(upstream.Config{
		BaseURL: scheme + "://koodrive.test", AllowHTTP: true, RootCAs: always(pool), Proxy: where,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if want := map[string]string{"http": "proxy.test:80", "https": "proxy.test:443"}[where.Scheme]; address != want {
				t.Errorf("dialled %s", address)
			}
			return p.listener.Dial(ctx, network, address)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		_ = server.Close()
		_ = p.listener.Close()
	})
	return c
}

func TestThroughAProxy(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, proxyURL := range []string{"http://proxy.test", "https://proxy.test", "http://user:pass%20word@proxy.test", "https://user:pass%20word@proxy.test"} {
			synctest.Test(t, func(t *testing.T) {
				p := &proxy{}
				if strings.Contains(proxyURL, "user") {
					p.wanted = "Basic dXNlcjpwYXNzIHdvcmQ="
				}
				c := p.through(t, scheme, proxyURL)
				for range 2 {
					if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
						t.Errorf("%s through %s: %v", scheme, proxyURL, err)
					}
				}
			})
		}
	}
}

// If a proxy refuses, the error names the proxy and not KooDrive, since its settings are wrong. A proxy that cannot reach
// KooDrive, or is overloaded, may work later.
func TestProxyRefuses(t *testing.T) {
	const later = upstream.Unreachable
	for _, row := range []struct {
		scheme string
		answer string
		fault  upstream.TransportFault // 0: the answer is KooDrive's.
		says   string
	}{
		{"https", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", upstream.ProxyRefused, "the proxy answered CONNECT with status 407"},
		{"http", "HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n", upstream.ProxyRefused, "the proxy answered with status 407"},
		{"https", "HTTP/1.1 403 geheim\r\n\r\n", upstream.ProxyRefused, "the proxy answered CONNECT with status 403"},
		{"https", "HTTP/1.1 400 No\r\n\r\n", upstream.ProxyRefused, "the proxy answered CONNECT with status 400"},
		{"https", "HTTP/1.1 302 No\r\nLocation: https://geheim.test\r\n\r\n", upstream.ProxyRefused, "the proxy answered CONNECT with status 302"},
		{"https", "HTTP/1.1 204 No\r\n\r\n", upstream.ProxyRefused, "the proxy answered CONNECT with status 204"},
		{"https", "HTTP/1.1 101 No\r\n\r\n", upstream.ProxyRefused, "the proxy answered CONNECT with status 101"},
		{"https", "HTTP/1.1 502 No\r\n\r\n", later, "the proxy answered CONNECT with status 502"},
		{"https", "HTTP/1.1 503 No\r\n\r\n", later, "the proxy answered CONNECT with status 503"},
		{"https", "HTTP/1.1 504 No\r\n\r\n", later, "the proxy answered CONNECT with status 504"},
		{"https", "HTTP/1.1 429 No\r\n\r\n", later, "the proxy answered CONNECT with status 429"},
		{"https", "geheim\r\n\r\n", later, "the proxy hung up on CONNECT"},
		{"https", "", later, "the proxy hung up on CONNECT"},
		{"https", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", upstream.MaxHeader) + "\r\n\r\n", later, "the proxy hung up on CONNECT"},
		{"http", "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 0, "KooDrive answered 403"},
		{"http", "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n", 0, "KooDrive answered 502"},
	} {
		t.Run(fmt.Sprintf("%s %.12s", row.scheme, row.answer), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &proxy{}
				p.answer.Store(&row.answer)
				c := p.through(t, row.scheme, "http://proxy.test")
				_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
				if fault, ok := unreachable(err); ok != (row.fault != 0) || fault != row.fault {
					t.Errorf("got %v", err)
				}
				if err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "geheim") {
					t.Errorf("it says %v, want %q", err, row.says)
				}
				for range 2 * upstream.BreakerAttempts {
					_, err = c.Task(t.Context(), query(t, c), upstream.Call{})
				}
				var open *upstream.CircuitOpenError
				if opens := row.fault == later || strings.Contains(row.says, "KooDrive answered 502"); errors.As(err, &open) != opens {
					t.Errorf("after many: %v", err)
				}
				p.answer.Store(nil)
				time.Sleep(upstream.BreakerPause)
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil {
					t.Errorf("when the proxy works again: %v", err)
				}
			})
		})
	}
}

// Without a proxy, a 407 is KooDrive's answer.
func TestProxyStatusWithoutAProxy(t *testing.T) {
	bubble(t, func(t *testing.T, k *koodrivetest.KooDrive, c *upstream.Client) {
		k.SetFault(koodrivetest.Answer(http.StatusProxyAuthRequired, ""))
		_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
		var refused *upstream.StatusError
		if !errors.As(err, &refused) {
			t.Errorf("got %v", err)
		}
	})
}

// A hanging proxy costs each request that is made meanwhile its timeout. Once it works again, the next request is answered
// at once.
func TestProxyHangs(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		for _, proxyURL := range []string{"http://proxy.test", "https://proxy.test"} {
			synctest.Test(t, func(t *testing.T) {
				p := &proxy{}
				p.hangs.Store(true)
				c := p.through(t, scheme, proxyURL)
				for range upstream.BreakerAttempts / 2 {
					start := time.Now()
					_, err := c.Task(t.Context(), query(t, c), upstream.Call{})
					if fault, _ := unreachable(err); fault != upstream.TimedOut || time.Since(start) > upstream.DefaultTimeout {
						t.Errorf("%s through %s: %v after %v", scheme, proxyURL, err, time.Since(start))
					}
				}
				p.hangs.Store(false)
				start := time.Now()
				if _, err := c.Task(t.Context(), query(t, c), upstream.Call{}); err != nil || time.Since(start) != 0 {
					t.Errorf("%s through %s: afterwards %v after %v", scheme, proxyURL, err, time.Since(start))
				}
			})
		}
	}
}
