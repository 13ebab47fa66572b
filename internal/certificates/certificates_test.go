package certificates_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kootask/kootask/internal/certificates"
)

// A certificate is accepted or refused by its authority, its names, its usage and its dates.
func TestVerify(t *testing.T) {
	now := time.Now()
	ca, other := certificates.NewCA(), certificates.NewCA()
	server, client := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	for name, row := range map[string]struct {
		certificate *certificates.Certificate
		options     x509.VerifyOptions
		good        bool
	}{
		"server":            {ca.Server("kootask.example"), x509.VerifyOptions{DNSName: "kootask.example"}, true},
		"server's address":  {ca.Server("::1", "127.0.0.1"), x509.VerifyOptions{DNSName: "127.0.0.1"}, true},
		"another name":      {ca.Server("kootask.example"), x509.VerifyOptions{DNSName: "127.0.0.1"}, false},
		"another authority": {other.Server("kootask.example"), x509.VerifyOptions{}, false},
		"client":            {ca.Client("DNS:orders.example"), x509.VerifyOptions{KeyUsages: client}, true},
		"client as server":  {ca.Client("DNS:orders.example"), x509.VerifyOptions{}, false},
		"server as client":  {ca.Issue(certificates.Spec{Usages: server}), x509.VerifyOptions{KeyUsages: client}, false},
		"for anything":      {ca.Issue(certificates.Spec{}), x509.VerifyOptions{KeyUsages: client}, true},
		"to expire": {
			ca.Issue(certificates.Spec{NotAfter: now.Add(time.Minute)}), x509.VerifyOptions{KeyUsages: client}, true,
		},
		"expired": {ca.Issue(certificates.Spec{NotAfter: now.Add(-24 * time.Hour)}), x509.VerifyOptions{KeyUsages: client}, false},
	} {
		t.Run(name, func(t *testing.T) {
			row.options.Roots, row.options.CurrentTime = ca.Pool(), now
			if _, err := row.certificate.TLS.Leaf.Verify(row.options); (err == nil) != row.good {
				t.Error(err)
			}
		})
	}
}

func TestNames(t *testing.T) {
	leaf := certificates.NewCA().Client("DNS:a.example", "URI:spiffe://example/orders", "email:a@example", "IP:192.0.2.1").TLS.Leaf
	got := append([]string{leaf.URIs[0].String(), leaf.IPAddresses[0].String()}, append(leaf.DNSNames, leaf.EmailAddresses...)...)
	if diff := cmp.Diff([]string{"spiffe://example/orders", "192.0.2.1", "a.example", "a@example"}, got); diff != "" {
		t.Error(diff)
	}
	for _, wrong := range []string{"a.example", "dns:a.example", "IP:a.example", ""} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q is taken for a name", wrong)
				}
			}()
			certificates.NewCA().Client(wrong)
		}()
	}
}

// Both sides present certificates that were read from files, and accept each other.
func TestHandshake(t *testing.T) {
	ca := certificates.NewCA()
	read := func(c *certificates.Certificate) []tls.Certificate {
		pair, err := tls.LoadX509KeyPair(c.WriteFiles(t.TempDir()))
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{pair}
	}
	pem, err := os.ReadFile(ca.WriteFile(t.TempDir()))
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(pem) || !pool.Equal(ca.Pool()) {
		t.Fatalf("the authority's file: %v", err)
	}
	near, far := net.Pipe()
	server := tls.Server(far, &tls.Config{Certificates: read(ca.Server("::1")), ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	client := tls.Client(near, &tls.Config{Certificates: read(ca.Client("DNS:a.example")), RootCAs: pool, ServerName: "::1"})
	ended := make(chan error, 1)
	go func() { ended <- server.HandshakeContext(t.Context()) }()
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}
	go func() { _, _ = near.Read(make([]byte, 1)) }()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	_, _ = near.Close(), far.Close()
}
