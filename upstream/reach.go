package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

// Steps of a connection to KooDrive, in their order.
const (
	StepDNS   = "dns"
	StepTCP   = "tcp"
	StepProxy = "proxy" // TLS with the proxy, and its tunnel. A plaintext KooDrive's requests need no tunnel.
	StepTLS   = "tls"
)

// Reach is how far a connection to KooDrive came. The time of a step is 0 if it was not needed or not reached.
type Reach struct {
	// Failed is the step that failed, one of the Step constants. Empty: none.
	Failed string
	// Err is why it failed. It may name hosts and addresses. Nil: it did not fail.
	Err error

	Addresses     int // The addresses that the name has. 0: no name was resolved.
	DNS, TCP, TLS time.Duration
	Version       string            // Of TLS, such as "TLS 1.3".
	Protocol      string            // That both sides agreed on, such as "h2". Empty: HTTP/1.1.
	Certificate   *x509.Certificate // The server's, also if it is not trusted. Nil: none came.
}

// Reach connects to KooDrive as a request would, and closes the connection. It sends no request and no credential, except the
// proxy's.
func (c *Client) Reach(ctx context.Context) (r Reach) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	g := c.connections.enter()
	defer g.leave()
	started := time.Now()
	var addresses, resolved atomic.Int64
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{DNSDone: func(info httptrace.DNSDoneInfo) {
		addresses.Store(int64(len(info.Addrs)))
		resolved.Store(int64(time.Since(started)))
	}})
	conn, err := g.connect(traced)
	connected := time.Since(started)
	r.Addresses, r.DNS = int(addresses.Load()), time.Duration(resolved.Load())
	r.TCP = connected - r.DNS
	if err != nil {
		r.TCP = 0
		r.Failed, r.Err = failedStep(err), err
		return r
	}
	defer func() { _ = conn.Close() }()
	if c.base.Scheme != schemeHTTPS {
		return r
	}
	secured, err := g.secure(ctx, conn, g.base.Hostname(), "h2", "http/1.1")
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) && len(untrusted.UnverifiedCertificates) > 0 {
		r.Certificate = untrusted.UnverifiedCertificates[0]
	}
	if err != nil {
		r.Failed, r.Err = StepTLS, err
		return r
	}
	r.TLS = time.Since(started) - connected
	if client, ok := secured.(*tls.Conn); ok {
		state := client.ConnectionState()
		r.Version, r.Protocol, r.Certificate = tls.VersionName(state.Version), state.NegotiatedProtocol, state.PeerCertificates[0]
	}
	return r
}

// connect opens a connection to KooDrive without TLS, or to the proxy that forwards a plaintext KooDrive's requests: with TLS, if
// the proxy's address is https.
func (g *generation) connect(ctx context.Context) (net.Conn, error) {
	if proxy := g.config.Proxy; proxy != nil && g.base.Scheme != schemeHTTPS {
		return g.reachProxy(ctx, "tcp", hostPort(proxy))
	}
	return g.tunnel(ctx, "tcp", hostPort(g.base))
}

// failedStep returns the step before TLS that an error is from.
func failedStep(err error) string {
	var name *net.DNSError
	var proxy *proxyError
	switch {
	case errors.As(err, &name):
		return StepDNS
	case errors.As(err, &proxy), errors.Is(err, errProxyTLS):
		return StepProxy
	}
	return StepTCP
}
