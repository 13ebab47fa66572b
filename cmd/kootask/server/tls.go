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

// MinTLS is the oldest accepted version of TLS.
const MinTLS = tls.VersionTLS12

// TLS has the current certificates of the ports.
type TLS struct {
	// Certificate is the server's certificate. Required.
	Certificate tls.Certificate
	// ClientCAs are the authorities of client certificates, which clients must then present. Nil: they need none.
	ClientCAs *x509.CertPool
}

// ParseTLS parses a certificate followed by its intermediates, its key and, unless clientCAs is the zero File, the
// authorities of client certificates, all in PEM form. It fails if the server's certificate is not valid now.
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

// tls returns the TLS config of the ports. Each handshake uses the current files.
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
				// A client that resumes a session would not present its certificate again.
				SessionTicketsDisabled: true,
			}
			if now.ClientCAs != nil {
				config.ClientCAs, config.ClientAuth = now.ClientCAs, tls.RequireAndVerifyClientCert
			}
			return config, nil
		},
	}
}

// certificateEnd exports the end of the server certificate's validity, for alerts.
func (s *Server) certificateEnd() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kootask_tls_certificate_end_timestamp_seconds", Help: "End of validity of the server's certificate, in Unix time.",
	}, func() float64 { return float64(s.config.TLS().Certificate.Leaf.NotAfter.Unix()) })
}
