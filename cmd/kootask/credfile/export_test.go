package credfile

import (
	"crypto/x509"
	"time"
)

// Certificates are those that Pool trusts.
func (f File) Certificates() ([]*x509.Certificate, error) { return f.certificates() }

// Within gives a Reader a shorter patience.
func (r *Reader) Within(patience time.Duration) *Reader {
	r.patience = patience
	return r
}
