package auth

import (
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/kootask/kootask/internal/expiring"
)

// AnySAN stands for all names that the issuer of certificates gives.
const AnySAN = "*"

const (
	trustFor = time.Minute // For how long a certificate that was found good is not looked at again.
	maxTrust = 10_000
)

// certificates judges the certificates of clients by who has signed them and whom they name. That they are the client's own
// was shown when its connection began; whether they are still good is asked at each call, since connections last.
type certificates struct {
	roots   func() *x509.CertPool
	sans    []string
	trusted *expiring.Cache[trust, time.Time] // What was found good, and until when it is.
}

// trust is that in a certificate, as it came with a connection, while some roots are the ones that count.
type trust struct {
	certificate *x509.Certificate
	roots       *x509.CertPool
}

func newCertificates(roots func() *x509.CertPool, sans []string) *certificates {
	return &certificates{roots: roots, sans: sans, trusted: expiring.New[trust, time.Time](maxTrust, trustFor)}
}

func (c *certificates) close() { c.trusted.Close() }

// identify returns the names of a client, those that may call first.
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

// verify asks whether the roots of now have signed a certificate, and for now.
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

// end is when the last of some chains ends, each with the first of its certificates: an authority may expire too.
func end(chains [][]*x509.Certificate) (last time.Time) {
	for _, chain := range chains {
		first := slices.MinFunc(chain, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
		if first.NotAfter.After(last) {
			last = first.NotAfter
		}
	}
	return last
}

// sans returns the subject alternative names of a certificate, each with its type.
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
