package kootask

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
)

// probeLimit limits the search for the cause of a failed connection.
const probeLimit = 2 * time.Second

// explained returns a yield that explains the error of a call. A call ends with one error, so it probes the address once.
func (c *Client) explained(ctx context.Context, yield func(Event, error) bool) func(Event, error) bool {
	return func(event Event, err error) bool {
		var failure *Error
		if errors.As(err, &failure) {
			err = c.explain(ctx, failure)
		}
		return yield(event, err)
	}
}

// explain puts the cause before the message of an error that a wrong address may have caused, if the cause can be found. It
// returns the error.
func (c *Client) explain(ctx context.Context, e *Error) *Error {
	cause := ""
	switch {
	case e.Reason != "":
	case e.Code == codes.Unimplemented:
		cause = c.addr + " is not kootask's gRPC port, or its kootask is older than this client"
	case e.Code == codes.Unavailable && !c.met.Load() && !c.dials && isDialled(c.addr):
		cause = c.probe(ctx)
	}
	if cause != "" {
		e.Message = cause + ": " + e.Message
	}
	return e
}

// isDialled reports whether gRPC connects to the address itself. Otherwise it is another gRPC target, with a resolver of its
// own, or a proxy makes the connection.
func isDialled(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || strings.Contains(host, "/") {
		return false
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return false
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: addr}}) // As gRPC asks.
	return proxy == nil && err == nil
}

// probe returns why no connection to the address can be used; empty if that cannot be found out. It ends with ctx, the Client
// or the limit. It connects and makes a TLS handshake, and sends nothing else.
func (c *Client) probe(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, c.probeLimit)
	defer cancel()
	defer context.AfterFunc(c.closed, cancel)()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.addr)
	switch {
	case ctx.Err() != nil:
		return ""
	case isNobody(err):
		return "nothing listens at " + c.addr
	case err != nil:
		return ""
	}
	defer func() { _ = conn.Close() }()
	// The certificate is not checked, because nothing is sent.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	var other tls.RecordHeaderError
	switch {
	case c.secure && errors.As(err, &other):
		return c.addr + " does not speak TLS, and this client does (leave Config.TLS nil for plaintext)"
	case !c.secure && (err == nil || isAlert(err)):
		return c.addr + " speaks TLS, and this client does not (set Config.TLS)"
	default:
		return ""
	}
}

// isNobody reports whether a connection failed because of the address. A firewall may cause silence, and a fault of this
// machine, such as too many open files, says nothing about the address.
func isNobody(err error) bool {
	var name *net.DNSError
	return errors.As(err, &name) && name.IsNotFound ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH)
}

// isAlert reports whether the peer ended the handshake with a TLS alert, for which there is no exported type.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
