// Package certificates makes certificates for tests: an authority, and the certificates that it signs. Only tests and
// clients/conformance may import it.
//
//	ca := certificates.NewCA()
//	server, client := ca.Server("127.0.0.1"), ca.Client("DNS:orders.example")
//	config := &tls.Config{
//		Certificates: []tls.Certificate{server.TLS}, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
//	}
//
// Keys are ECDSA over P-256. Certificates are valid from an hour ago, by the clock of the test or of its bubble. Functions
// panic on failure, so tests have no error to handle.
package certificates

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	validBefore = time.Hour
	validAfter  = 365 * 24 * time.Hour
)

// CA is a certificate authority that nobody trusts by default.
type CA struct{ own *Certificate }

// NewCA returns a new authority, with its own key.
func NewCA() *CA {
	template := newTemplate("kootask test authority", time.Time{})
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	return &CA{sign(template, nil)}
}

// PEM returns the authority's certificate in PEM form.
func (ca *CA) PEM() []byte { return ca.own.CertPEM }

// Pool returns a pool with only the authority's certificate.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.own.TLS.Leaf)
	return pool
}

// WriteFile writes the authority's certificate to ca.pem in dir, and returns that path.
func (ca *CA) WriteFile(dir string) string { return write(dir, "ca.pem", ca.PEM()) }

// Server returns a certificate for a server of these DNS names and IP addresses.
func (ca *CA) Server(hosts ...string) *Certificate {
	spec := Spec{Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	for _, host := range hosts {
		kind := "DNS:"
		if net.ParseIP(host) != nil {
			kind = "IP:"
		}
		spec.SANs = append(spec.SANs, kind+host)
	}
	return ca.Issue(spec)
}

// Client returns a certificate for a client with these names, typed as in [Spec].
func (ca *CA) Client(sans ...string) *Certificate {
	return ca.Issue(Spec{SANs: sans, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
}

// Spec describes a certificate.
type Spec struct {
	// SANs are the subject's alternative names, typed as OpenSSL writes them: "DNS:orders.example",
	// "URI:spiffe://example/orders", "email:orders@example" or "IP:192.0.2.1". Empty: none.
	SANs []string
	// Usages are the extended key usages. Empty: any use is allowed.
	Usages []x509.ExtKeyUsage
	// Name is the subject's common name. Empty: a name for tests.
	Name string
	// NotBefore is the begin of its validity, which may be in the future. Zero: an hour ago.
	NotBefore time.Time
	// NotAfter is the end of its validity, which may be in the past. Zero: in a year.
	NotAfter time.Time
}

// Issue returns a certificate with a new key.
func (ca *CA) Issue(spec Spec) *Certificate {
	template := newTemplate(cmp.Or(spec.Name, "kootask test"), spec.NotAfter)
	if !spec.NotBefore.IsZero() {
		template.NotBefore = spec.NotBefore
	}
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, spec.Usages
	for _, san := range spec.SANs {
		addSAN(template, san)
	}
	return sign(template, ca)
}

// Certificate is a certificate with its private key.
type Certificate struct {
	// TLS is both, for a tls.Config.
	TLS tls.Certificate
	// CertPEM and KeyPEM are the same in PEM form; the key is PKCS #8.
	CertPEM, KeyPEM []byte
}

// WriteFiles writes both to cert.pem and key.pem in dir, and returns their paths.
func (c *Certificate) WriteFiles(dir string) (certFile, keyFile string) {
	return write(dir, "cert.pem", c.CertPEM), write(dir, "key.pem", c.KeyPEM)
}

func newTemplate(name string, notAfter time.Time) *x509.Certificate {
	now := time.Now()
	notBefore := now.Add(-validBefore)
	switch {
	case notAfter.IsZero():
		notAfter = now.Add(validAfter)
	case !notAfter.After(notBefore):
		notBefore = notAfter.Add(-validBefore)
	}
	return &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))),
		Subject:      pkix.Name{CommonName: name}, NotBefore: notBefore, NotAfter: notAfter,
	}
}

func addSAN(template *x509.Certificate, san string) {
	switch kind, value, _ := strings.Cut(san, ":"); kind {
	case "DNS":
		template.DNSNames = append(template.DNSNames, value)
	case "URI":
		template.URIs = append(template.URIs, must(url.Parse(value)))
	case "email":
		template.EmailAddresses = append(template.EmailAddresses, value)
	case "IP":
		ip := net.ParseIP(value)
		if ip == nil {
			panic(fmt.Sprintf("certificates: %q is not an IP address", san))
		}
		template.IPAddresses = append(template.IPAddresses, ip)
	default:
		panic(fmt.Sprintf("certificates: %q has an unknown type", san))
	}
}

// sign returns the certificate with a new key, signed by ca; self-signed if ca is nil.
func sign(template *x509.Certificate, ca *CA) *Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	parent, signer := template, any(key)
	if ca != nil {
		parent, signer = ca.own.TLS.Leaf, ca.own.TLS.PrivateKey
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer))
	c := &Certificate{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}),
	}
	c.TLS = must(tls.X509KeyPair(c.CertPEM, c.KeyPEM))
	return c
}

func write(dir, name string, text []byte) string {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		panic(err)
	}
	return path
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
