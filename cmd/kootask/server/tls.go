package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
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

// ParseTLS reads a certificate (with those of its issuers after it), its key, and, if clientCAs is not nil, the certificates of
// those who sign clients' certificates; all in PEM form.
func ParseTLS(certificate, key, clientCAs []byte) (TLS, error) {
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return TLS{}, err
	}
	if clientCAs == nil {
		return TLS{Certificate: pair}, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(clientCAs) {
		return TLS{}, errors.New("there is no certificate of a client's issuer in PEM form")
	}
	return TLS{pair, pool}, nil
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
		Name: "kootask_tls_certificate_end_timestamp_seconds", Help: "When the server's certificate ends, in Unix time.",
	}, func() float64 { return float64(s.config.TLS().Certificate.Leaf.NotAfter.Unix()) })
}
