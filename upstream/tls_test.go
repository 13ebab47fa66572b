package upstream_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"testing"

	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// serveTLS serves a KooDrive on a loopback port, and returns its address and the pool with its certificate.
func serveTLS(t *testing.T, maxVersion uint16) (string, *x509.CertPool) {
	t.Helper()
	k := koodrivetest.New()
	k.AddToken(token, 0)
	server := httptest.NewUnstartedServer(k)
	server.TLS = &tls.Config{MaxVersion: maxVersion}
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server.URL, pool
}

func ask(t *testing.T, config upstream.Config) error {
	t.Helper()
	c, err := upstream.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Task(t.Context(), query(t))
	return err
}

func TestTLS(t *testing.T) {
	url, pool := serveTLS(t, tls.VersionTLS13)
	if err := ask(t, upstream.Config{BaseURL: url, RootCAs: pool}); err != nil {
		t.Errorf("with its certificate: %v", err)
	}
	var transport *upstream.TransportError
	if err := ask(t, upstream.Config{BaseURL: url}); !errors.As(err, &transport) || transport.Fault != upstream.Untrusted {
		t.Errorf("with the system's roots: %v", err)
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	url, pool := serveTLS(t, tls.VersionTLS11)
	var transport *upstream.TransportError
	if err := ask(t, upstream.Config{BaseURL: url, RootCAs: pool}); !errors.As(err, &transport) {
		t.Errorf("got %v", err)
	}
}
