package server

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/cmd/kootask/credfile"
)

// MinTLS is the oldest version of TLS that is spoken.
const MinTLS = tls.VersionTLS12

// TLS is what secures the ports.
type TLS struct {
	// Certificate is the server's. Required.
	Certificate tls.Certificate
	// ClientCAs are who signs the certificates that clients have to have. Nil: they need none.
	ClientCAs *x509.CertPool
}

// ParseTLS reads a certificate (with those of its issuers after it), its key and, unless the zero File is given for them, the
// certificates of those who sign clients' certificates; all in PEM form. The server's certificate has to be valid now.
func ParseTLS(certificate, key, clientCAs credfile.File) (TLS, error) {
	pair, certificateErr, keyErr := credfile.Pair(certificate, key)
	if err := cmp.Or(certificateErr, keyErr); err != nil {
		return TLS{}, err
	}
	switch now := time.Now(); {
	case now.Before(pair.Leaf.NotBefore):
		return TLS{}, fmt.Errorf("%s is not valid before %s", certificate.Name, pair.Leaf.NotBefore.Format(time.RFC3339))
	case now.After(pair.Leaf.NotAfter):
		return TLS{}, fmt.Errorf("%s has expired at %s", certificate.Name, pair.Leaf.NotAfter.Format(time.RFC3339))
	case clientCAs.Name == "":
		return TLS{Certificate: pair}, nil
	}
	pool, err := clientCAs.Pool()
	return TLS{pair, pool}, err
}

// tls returns how connections are secured: each handshake as the files are then.
func (s *Server) tls() *tls.Config {
	return &tls.Config{
		MinVersion: MinTLS,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := s.config.TLS()
			config := &tls.Config{
				MinVersion:   MinTLS,
				NextProtos:   []string{"h2", "http/1.1"},
				Certificates: []tls.Certificate{now.Certificate},
				// A session that is resumed is not asked for its certificate again.
				SessionTicketsDisabled: true,
			}
			if now.ClientCAs != nil {
				config.ClientCAs, config.ClientAuth = now.ClientCAs, tls.RequireAndVerifyClientCert
			}
			return config, nil
		},
	}
}

// certificateEnd is a metric.
func (s *Server) certificateEnd() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kootask_tls_certificate_end_timestamp_seconds", Help: "End of validity of the server's certificate, in Unix time.",
	}, func() float64 { return float64(s.config.TLS().Certificate.Leaf.NotAfter.Unix()) })
}
