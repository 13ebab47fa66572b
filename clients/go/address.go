package kootask

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"google.golang.org/grpc/codes"
)

// probeTimeout limits the search for the cause of a failed connection.
const probeTimeout = 2 * time.Second

// explain puts the cause before the message of an error that a wrong address may have caused, if the cause can be found. It
// returns the error.
func (c *Client) explain(ctx context.Context, e *Error) *Error {
	cause := ""
	switch {
	case e.Reason != "":
	case e.Code == codes.Unimplemented:
		cause = c.addr + " is not kootask's gRPC port, or its kootask is older than this client"
	case e.Code == codes.Unavailable && !c.met.Load() && !c.dials:
		cause = c.probe(ctx)
	}
	if cause != "" {
		e.Message = cause + ": " + e.Message
	}
	return e
}

// probe returns why no connection to the address can be used; empty if that cannot be found out. It sends only the beginning
// of a TLS handshake.
func (c *Client) probe(ctx context.Context) string {
	if _, _, err := net.SplitHostPort(c.addr); err != nil {
		return "" // It is another gRPC target, with a resolver of its own.
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.addr)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ""
	case err != nil:
		return "nothing listens at " + c.addr
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

// isAlert reports whether the peer ended the handshake with a TLS alert, for which there is no exported type.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
