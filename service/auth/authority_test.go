package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/service/auth"
)

// A certificate that was accepted is refused once its authority has expired, also within the minute for which verdicts are
// cached.
func TestAuthorityExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := certificates.NewCA()
		pool := ca.Pool()
		ends := ca.Client("DNS:a").TLS.Leaf.NotAfter // The authority expires then too: both last equally long.
		client := ca.Issue(certificates.Spec{SANs: []string{"DNS:a"}, NotAfter: ends.Add(24 * time.Hour)})
		time.Sleep(time.Until(ends.Add(-2 * time.Second))) // Created before anything starts a ticker.
		c, err := auth.New(auth.Config{
			ClientCAs: func() *x509.CertPool { return pool }, SANs: []string{auth.AnySAN}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer a")
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{client.TLS.Leaf}}
		for _, step := range []struct {
			at   time.Duration
			good bool
		}{{-2 * time.Second, true}, {-time.Second, true}, {time.Second, false}} {
			time.Sleep(time.Until(ends.Add(step.at)))
			who, err := c.Read(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Admit(r, who); (err == nil) != step.good {
				t.Errorf("%v from its end: %v", step.at, err)
			}
		}
	})
}
