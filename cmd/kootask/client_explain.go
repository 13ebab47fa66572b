package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// connection is a client with its server.
type connection struct {
	*kootask.Client
	words    *words
	addr     string
	security *tls.Config // Nil is plaintext.
	context  contextFlags

	once  sync.Once // Guards the next field.
	found string    // The result of the only probe.
}

// explain returns the cause of a failed call, for people, with the context in use.
func (c *connection) explain(err error) string {
	why := c.causeOf(err)
	if errors.Is(err, context.Canceled) {
		return why
	}
	return c.context.named(errors.New(why)).Error()
}

// causeOf returns the cause of a failed call. If kootask did not answer, it probes the peer.
func (c *connection) causeOf(err error) string {
	var failure *kootask.Error
	if !errors.As(err, &failure) {
		return err.Error()
	}
	alone := *failure // Without the id of a dropped task, which stands beside the explanation.
	alone.TaskID, alone.Message, failure = "", cmp.Or(alone.LocalizedMessage, alone.Message), &alone
	switch {
	case failure.Reason == taskv1.ErrorReason_CREDENTIAL_MISSING.String():
		return fmt.Sprintf(c.words.NoToken, failure, tokenVariable)
	case failure.Reason != "":
		return fmt.Sprintf(c.words.Request, failure, failure.RequestID)
	case errors.Is(err, context.Canceled):
		return c.words.Stopped
	case failure.Code == codes.Unimplemented && c.isHTTP():
		return fmt.Sprintf(c.words.HTTPPort, c.addr, defaultGRPCPort)
	case failure.Code == codes.Unimplemented:
		return c.addr + " is not kootask: it has no TaskService"
	case failure.Code == codes.Unavailable:
		return c.probeOnce() + ": " + failure.Message
	default:
		return failure.Error()
	}
}

const probeTimeout = 2 * time.Second

// isHTTP reports whether the peer is kootask's HTTP port: a request without a credential gets kootask's own error.
func (c *connection) isHTTP() bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	scheme := "http"
	if c.security != nil {
		scheme = "https"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+c.addr+"/v1/tasks/0", http.NoBody)
	if err != nil {
		return false
	}
	transport := &http.Transport{TLSClientConfig: c.security}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, reason.MaxStatus))
	return resp.StatusCode == http.StatusUnauthorized && strings.Contains(string(body), reason.Domain)
}

// probeOnce returns the result of a probe, which it makes at its first call: many tasks may fail together.
func (c *connection) probeOnce() string {
	c.once.Do(func() { c.found = c.probe() })
	return c.found
}

// probe returns the cause of a failed gRPC connection. It sends only a handshake.
func (c *connection) probe() string {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return c.words.NoAnswer
	}
	defer func() { _ = conn.Close() }()
	if c.security != nil {
		return c.addr + " " + c.probeTLS(ctx, conn)
	}
	// The certificate is not checked, because nothing is sent.
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx)
	if err == nil || isAlert(err) {
		return c.addr + " speaks TLS, and this is plaintext: set --tls or --ca"
	}
	return c.addr + " " + unlikeKootask
}

const unlikeKootask = "does not answer as kootask does"

// probeTLS returns the cause of a failed TLS connection: a fault of the peer or of the client's flags.
func (c *connection) probeTLS(ctx context.Context, conn net.Conn) string {
	config, wanted := c.security.Clone(), false
	host, _, _ := net.SplitHostPort(c.addr) // The address was checked already.
	config.ServerName, config.NextProtos = cmp.Or(host, "localhost"), []string{"h2"}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		wanted = true
		if len(config.Certificates) == 0 {
			return &tls.Certificate{}, nil
		}
		return &config.Certificates[0], nil
	}
	err := greet(ctx, tls.Client(conn, config))
	var (
		noTLS     tls.RecordHeaderError
		name      x509.HostnameError
		authority x509.UnknownAuthorityError
		other     *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &noTLS):
		return "does not speak TLS"
	case errors.As(err, &name):
		return "has a certificate for another name: --addr must be a name in it"
	case errors.As(err, &authority):
		return "has a certificate that is not trusted: name its authority with --ca"
	case errors.As(err, &other):
		return "has an invalid certificate"
	case isAlert(err) && wanted && len(config.Certificates) == 0:
		return "requires a client certificate: set --cert and --key"
	case isAlert(err) && wanted:
		return "refuses the client certificate of --cert"
	case isAlert(err):
		return "does not speak TLS as this client does"
	default:
		return unlikeKootask
	}
}

// greet waits for the peer's first byte after the handshake, because a client learns only then that its certificate is refused.
func greet(ctx context.Context, conn *tls.Conn) error {
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetReadDeadline(deadline)
	}
	_, err := conn.Read(make([]byte, 1))
	return err
}

// isAlert reports whether the peer ended the handshake with a TLS alert, for which there is no exported type.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}
