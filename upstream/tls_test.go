package upstream_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// serveTLS serves a KooDrive on a loopback port, and returns its address and the pool with its certificate.
func serveTLS(t *testing.T, minVersion, maxVersion uint16) (string, *x509.CertPool) {
	t.Helper()
	k := koodrivetest.New()
	k.AddToken(token, 0)
	server := httptest.NewUnstartedServer(k)
	server.TLS = &tls.Config{MinVersion: minVersion, MaxVersion: maxVersion}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server.URL, pool
}

// always returns roots that never change.
func always(pool *x509.CertPool) func() *x509.CertPool { return func() *x509.CertPool { return pool } }

func ask(t *testing.T, config upstream.Config) error {
	t.Helper()
	c, err := upstream.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Task(t.Context(), query(t, c), upstream.Call{})
	return err
}

func TestTLS(t *testing.T) {
	url, pool := serveTLS(t, tls.VersionTLS12, tls.VersionTLS13)
	if err := ask(t, upstream.Config{BaseURL: url, RootCAs: always(pool)}); err != nil {
		t.Errorf("with its certificate: %v", err)
	}
	var transport *upstream.TransportError
	if err := ask(t, upstream.Config{BaseURL: url}); !errors.As(err, &transport) || transport.Fault != upstream.Untrusted {
		t.Errorf("with the system's roots: %v", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	url, pool := serveTLS(t, tls.VersionTLS10, tls.VersionTLS11)
	lax := &tls.Dialer{Config: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS10}}
	if conn, err := lax.DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "https://")); err != nil {
		t.Errorf("a client that accepts it: %v", err)
	} else {
		_ = conn.Close()
	}
	var transport *upstream.TransportError
	if err := ask(t, upstream.Config{BaseURL: url, RootCAs: always(pool)}); !errors.As(err, &transport) {
		t.Errorf("got %v", err)
	}
}

// quiet is a server's log that is discarded.
var quiet = log.New(io.Discard, "", 0)
