package main

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/kootask/kootask/internal/certificates"
)

// clientAuthority vouches for clients, and serverAuthority for servers.
var clientAuthority, serverAuthority = certificates.NewCA(), certificates.NewCA()

// presents is a server's configuration with a certificate.
func presents(c *certificates.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.TLS}}
}

// mutual is one that requires a client certificate.
func mutual(maxVersion uint16) *tls.Config {
	config := presents(serverAuthority.Server("127.0.0.1"))
	config.ClientAuth, config.ClientCAs, config.MaxVersion = tls.RequireAndVerifyClientCert, clientAuthority.Pool(), maxVersion
	return config
}

// withClient returns the flags for a client certificate.
func withClient(t *testing.T, c *certificates.Certificate) []string {
	t.Helper()
	cert, key := c.WriteFiles(t.TempDir())
	return []string{"--cert=" + cert, "--key=" + key}
}

// hangsUp accepts connections and closes them. It returns its address.
func hangsUp(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1<<10))
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}
