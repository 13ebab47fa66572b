package upstream

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/kootask/kootask/internal/dial"
)

const (
	// dialLimit is how long it may take until a connection is ready, the resolver included: a name server that does not
	// answer costs 5 s, and there may be two of them.
	dialLimit = 20 * time.Second
	// handshakeTimeout is that of a TLS handshake, and of a proxy's answer to CONNECT.
	handshakeTimeout = 5 * time.Second

	schemeHTTPS = "https"
)

// dial opens a plaintext connection: to KooDrive, or to the proxy that takes its requests.
func (g *generation) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return g.establish(ctx, func(ctx context.Context) (net.Conn, error) { return g.reach(ctx, network, address) })
}

// dialTLS opens a secured connection: to KooDrive, through a proxy's tunnel if there is one, or to the proxy that takes its
// requests.
func (g *generation) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	return g.establish(ctx, func(ctx context.Context) (net.Conn, error) {
		if g.base.Scheme != schemeHTTPS {
			conn, err := g.reach(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return g.secure(ctx, conn, g.config.Proxy.Hostname())
		}
		conn, err := g.tunnel(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return g.secure(ctx, conn, g.base.Hostname(), "h2", "http/1.1")
	})
}

// establish runs open within dialLimit. The attempt that has asked for the connection may end before that: the connection
// then serves others. But no more than Config.AtOnce dials outlive their attempts.
func (g *generation) establish(ctx context.Context, open func(context.Context) (net.Conn, error)) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	defer context.AfterFunc(g.life, cancel)()
	late, decided := false, make(chan struct{})
	onTime := context.AfterFunc(tripOf(ctx).attempt, func() {
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
	conn, err := g.reach(ctx, network, hostPort(proxy))
	if err == nil && proxy.Scheme == schemeHTTPS {
		conn, err = g.secure(ctx, conn, proxy.Hostname())
	}
	if err != nil {
		return nil, fmt.Errorf("reaching the proxy: %w", err)
	}
	if err := connectThrough(ctx, conn, proxy, address); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// hostPort is where a proxy is, with the port that its scheme implies.
func hostPort(proxy *url.URL) string {
	port := proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", schemeHTTPS: "443"}[proxy.Scheme]
	}
	return net.JoinHostPort(proxy.Hostname(), port)
}

// connectThrough asks the proxy at the other end of conn for a tunnel to address. net/http would do so too, but for a
// minute, and for an attempt that has ended as well.
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
		// The proxy sends nothing after its header before TLS has begun: what is buffered may go.
		resp, err = http.ReadResponse(bufio.NewReader(io.LimitReader(conn, MaxHeader)), req) //nolint:bodyclose // A tunnel has no body, and that of a refusal ends with conn.
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

// secure begins TLS on conn, with a host that has to show a certificate for its name. If it fails, conn is closed.
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
