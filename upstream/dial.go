package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/kootask/kootask/internal/dial"
)

const (
	// dialLimit limits the time until a connection is ready, name resolution included: each name server that does not
	// answer costs 5 s, and there may be two.
	dialLimit = 20 * time.Second
	// handshakeTimeout limits a TLS handshake, and a proxy's answer to CONNECT.
	handshakeTimeout = 5 * time.Second

	schemeHTTPS = "https"
)

// dial opens a plaintext connection, to KooDrive or to the proxy that forwards its requests.
func (g *generation) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return g.establish(ctx, func(ctx context.Context) (net.Conn, error) { return g.reach(ctx, network, address) })
}

// dialTLS opens a TLS connection: to KooDrive, if there is a proxy through its tunnel, or to the proxy that forwards a
// plaintext KooDrive's requests.
func (g *generation) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	return g.establish(ctx, func(ctx context.Context) (net.Conn, error) {
		if g.base.Scheme != schemeHTTPS {
			return g.reachProxy(ctx, network, address)
		}
		conn, err := g.tunnel(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return g.secure(ctx, conn, g.base.Hostname(), "h2", "http/1.1")
	})
}

// establish runs open within dialLimit. If the attempt that needs the connection ends earlier, the connection is kept
// for others. At most Config.AtOnce dials may outlive their attempts:
//  1. When the attempt ends, the dial takes a place in late, or is cancelled if late is full.
//  2. When the dial ends, it gives its place back, if it took one.
func (g *generation) establish(ctx context.Context, open func(context.Context) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	defer context.AfterFunc(g.life, cancel)()
	late, decided := false, make(chan struct{})
	onTime := context.AfterFunc(tripOf(ctx), func() {
		defer close(decided)
		select {
		case g.late <- struct{}{}:
			late = true
		default:
			cancel()
		}
	})
	defer func() {
		if onTime() {
			return
		}
		if <-decided; late {
			<-g.late
		}
	}()
	return open(ctx)
}

// reach connects to an address.
func (g *generation) reach(ctx context.Context, network, address string) (net.Conn, error) {
	connect := g.config.Dial
	if connect == nil {
		connect = dial.Dialer{}.DialContext
	}
	conn, err := connect(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return g.keep(conn)
}

// tunnel connects to KooDrive's address, through the proxy if there is one.
func (g *generation) tunnel(ctx context.Context, network, address string) (net.Conn, error) {
	proxy := g.config.Proxy
	if proxy == nil {
		return g.reach(ctx, network, address)
	}
	conn, err := g.reachProxy(ctx, network, hostPort(proxy))
	if err != nil {
		return nil, fmt.Errorf("reaching the proxy: %w", err)
	}
	if err := connectThrough(ctx, conn, proxy, address); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// errProxyTLS reports that the proxy has an address with https, and that TLS with it failed.
var errProxyTLS = errors.New("TLS with the proxy failed")

// reachProxy connects to the proxy, with TLS if its address is https.
func (g *generation) reachProxy(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := g.reach(ctx, network, address)
	if err != nil || g.config.Proxy.Scheme != schemeHTTPS {
		return conn, err
	}
	secured, err := g.secure(ctx, conn, g.config.Proxy.Hostname())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProxyTLS, err)
	}
	return secured, nil
}

// hostPort returns a proxy's address, with its scheme's default port if it has none.
func hostPort(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", schemeHTTPS: "443"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// connectThrough requests a tunnel to address from the proxy on conn. net/http's own CONNECT waits up to a minute, even
// if the attempt has ended.
func connectThrough(ctx context.Context, conn net.Conn, proxy *url.URL, address string) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	header := http.Header{"User-Agent": {userAgent}}
	if user := proxy.User; user != nil {
		password, _ := user.Password()
		header.Set("Proxy-Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)))
	}
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: header}
	err := req.Write(conn)
	var resp *http.Response
	if err == nil {
		// The proxy sends nothing after its header before TLS begins, so the reader's buffer can be discarded.
		limited := bufio.NewReader(io.LimitReader(conn, MaxHeader))
		resp, err = http.ReadResponse(limited, req) //nolint:bodyclose // A tunnel has no body; a refusal's ends with conn.
	}
	switch {
	case !stop():
		return fmt.Errorf("the proxy does not answer CONNECT: %w", ctx.Err())
	case err != nil:
		return &proxyError{connect: true}
	case resp.StatusCode != http.StatusOK:
		return &proxyError{status: resp.StatusCode, connect: true}
	}
	return nil
}

// secure starts TLS on conn. The server's certificate must be valid for host. On failure it closes conn.
func (g *generation) secure(ctx context.Context, conn net.Conn, host string, protocols ...string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	secured := tls.Client(conn, &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: g.roots, ServerName: host, NextProtos: protocols,
	})
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return secured, nil
}
