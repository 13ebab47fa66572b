package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"time"

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
	if now := time.Now(); now.Before(pair.Leaf.NotBefore) || now.After(pair.Leaf.NotAfter) {
		return TLS{}, errors.New("the server's certificate is not for now")
	}
	if clientCAs == nil {
		return TLS{Certificate: pair}, nil
	}
	pool, err := parseCAs(clientCAs)
	return TLS{pair, pool}, err
}

// parseCAs reads certificates, all of which have to be good: without one of them, clients would be locked out.
func parseCAs(text []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("of those who sign clients' certificates, one is no certificate")
		}
		pool.AddCert(certificate)
		n++
	}
	if n == 0 || bytes.Contains(text, []byte("-----BEGIN")) {
		return nil, errors.New("of those who sign clients' certificates, one is not in PEM form, or there is none")
	}
	return pool, nil
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
