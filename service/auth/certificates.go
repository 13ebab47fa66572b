package auth

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/kootask/kootask/internal/expiring"
)

// AnySAN accepts every name that the authorities certify.
const AnySAN = "*"

const (
	trustFor = time.Minute // A verified certificate is not verified again for trustFor.
	maxTrust = 10_000
)

// certificates verifies client certificates: their authority and their names. The TLS handshake has proved that the
// client owns the certificate. Its validity is checked at each call, since connections are long-lived.
type certificates struct {
	roots   func() *x509.CertPool
	sans    []string
	trusted *expiring.Cache[trust, time.Time] // The certificates that were verified, and when they end.
}

// trust is a cached verdict: this certificate, under these roots.
type trust struct {
	certificate *x509.Certificate
	roots       *x509.CertPool
}

func newCertificates(roots func() *x509.CertPool, sans []string) *certificates {
	return &certificates{roots: roots, sans: sans, trusted: expiring.New[trust, time.Time](maxTrust, trustFor)}
}

func (c *certificates) close() { c.trusted.Close() }

// identify verifies a client's certificate and returns its accepted names, at least one.
func (c *certificates) identify(chain []*x509.Certificate) ([]string, error) {
	if len(chain) == 0 {
		return nil, errors.New("the client has no certificate")
	}
	if err := c.verify(chain); err != nil {
		return nil, err
	}
	names := sans(chain[0])
	accepted := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !slices.Contains(c.sans, name) && !slices.Contains(c.sans, AnySAN)
	})
	if len(accepted) == 0 {
		return nil, errors.New("the client's certificate has no allowed name")
	}
	return accepted, nil
}

// verify checks that the current roots have signed a certificate that is valid now.
func (c *certificates) verify(chain []*x509.Certificate) error {
	known := trust{chain[0], c.roots()}
	if until, ok := c.trusted.Get(known); ok && time.Now().Before(until) {
		return nil
	}
	options := x509.VerifyOptions{
		Roots: known.roots, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, certificate := range chain[1:] {
		options.Intermediates.AddCert(certificate)
	}
	chains, err := chain[0].Verify(options)
	if err != nil {
		return errors.New("the client's certificate is no longer trusted")
	}
	c.trusted.Set(known, end(chains))
	return nil
}

// end returns when the last of the chains ends. A chain ends with the first of its certificates: an authority may
// expire before the client.
func end(chains [][]*x509.Certificate) (last time.Time) {
	for _, chain := range chains {
		first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if first.NotAfter.After(last) {
			last = first.NotAfter
		}
	}
	return last
}

// sans returns the subject alternative names of a certificate, each prefixed with its type.
func sans(certificate *x509.Certificate) []string {
	var names []string
	for _, name := range certificate.DNSNames {
		names = append(names, "DNS:"+name)
	}
	for _, uri := range certificate.URIs {
		names = append(names, "URI:"+uri.String())
	}
	for _, address := range certificate.EmailAddresses {
		names = append(names, "email:"+address)
	}
	for _, ip := range certificate.IPAddresses {
		names = append(names, "IP:"+ip.String())
	}
	return names
}
