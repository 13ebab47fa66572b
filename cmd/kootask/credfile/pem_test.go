package credfile_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/internal/certificates"
)

var one, two = certificates.NewCA().PEM(), certificates.NewCA().PEM()

func join(parts ...any) []byte {
	var all bytes.Buffer
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			all.WriteString(part)
		case []byte:
			all.Write(part)
		}
	}
	return all.Bytes()
}

// A file with certificates is read completely, or refused with its name.
func TestEveryCertificateOfAFileIsRead(t *testing.T) {
	for name, row := range map[string]struct {
		text    []byte
		count   int    // 0: refused.
		refusal string // The text after the file's name.
	}{
		"one":                        {one, 1, ""},
		"two":                        {join(one, two), 2, ""},
		"a byte order mark":          {join("\ufeff", one, two), 2, ""},
		"CR LF":                      {bytes.ReplaceAll(join(one, two), []byte("\n"), []byte("\r\n")), 2, ""},
		"no last end of line":        {bytes.TrimSpace(join(one, two)), 2, ""},
		"space after borders":        {bytes.ReplaceAll(join(one, two), []byte("-----\n"), []byte("----- \t\n")), 2, ""},
		"comments":                   {join("# The authorities -- ours.\n=====\n", one, "\nSubject: O=\xe4\n---\n", two, "\nThe end"), 2, ""},
		"empty":                      {nil, 0, " contains no certificate"},
		"a text":                     {join("geheim"), 0, " contains no certificate"},
		"UTF-16":                     {utf16(join(one, two)), 0, " is UTF-16 or binary"},
		"UTF-16 without a mark":      {utf16(join(one, two))[2:], 0, " is UTF-16 or binary"},
		"NUL at the end":             {join(one, two, "\x00"), 0, " is UTF-16 or binary"},
		"a mark in the middle":       {join(one, "\ufeff", two), 0, ", line "},
		"no end of line in between":  {join(bytes.TrimSpace(one), two), 0, ", line "},
		"space before a border":      {join(one, " ", two), 0, ", line "},
		"four dashes":                {join(one, two[1:]), 0, ", line "},
		"dashes of a word processor": {join(one, bytes.ReplaceAll(two, []byte("-----"), []byte("–––––"))), 0, ", line "},
		"without its beginning":      {join(one[100:], two), 0, ", line "},
		"a letter of the base64":     {bytes.Replace(join(one, two), []byte("MII"), []byte("M!I"), 1), 0, ", line 1, has a damaged block"},
		"the length of the DER":      {bytes.Replace(join(one, two), []byte("MII"), []byte("MIJ"), 1), 0, ", line 1, has a certificate that cannot be read"},
		"a key beside it":            {join(one, certificates.NewCA().Server("a").KeyPEM), 0, "has something other than a certificate"},
		"OpenSSL's trusted form":     {bytes.ReplaceAll(one, []byte("CERTIFICATE"), []byte("TRUSTED CERTIFICATE")), 0, "has something other than a certificate"},
		"a request":                  {bytes.ReplaceAll(one, []byte("CERTIFICATE"), []byte("CERTIFICATE REQUEST")), 0, "has something other than a certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			f := credfile.File{Name: "bundle.pem", Content: row.text}
			certificates, err := f.Certificates()
			_, poolErr := f.Pool()
			switch {
			case row.count > 0 && (err != nil || poolErr != nil || len(certificates) != row.count):
				t.Errorf("%d certificates, %v", len(certificates), err)
			case row.count == 0 && (err == nil || poolErr == nil || !strings.HasPrefix(err.Error(), "bundle.pem") || !strings.Contains(err.Error(), row.refusal)):
				t.Errorf("%v, want %q", err, row.refusal)
			case err != nil && strings.Contains(err.Error(), "geheim"):
				t.Errorf("the error quotes the file: %v", err)
			}
		})
	}
}

// utf16 encodes an ASCII text as Windows does.
func utf16(text []byte) []byte {
	all := []byte("\xff\xfe")
	for _, b := range text {
		all = append(all, b, 0)
	}
	return all
}

// Wherever a file is cut, and whichever of its bytes is damaged, no certificate is dropped silently.
func TestNoDamageDropsACertificate(t *testing.T) {
	both := join(one, two)
	for end := len(one) + 1; end < len(both)-1; end++ {
		if _, err := (credfile.File{Name: "bundle.pem", Content: both[:end]}).Certificates(); err == nil {
			t.Errorf("cut after %q, it is accepted", both[end-1-min(end-1, 20):end])
		}
	}
	for i := range both {
		if i%5 > 0 && !bytes.Contains(both[max(0, i-15):min(len(both), i+15)], []byte("--")) {
			continue // All of the borders, and enough of the rest.
		}
		for _, b := range []byte{both[i] ^ 0x20, '-', ' ', '\n', 'A'} {
			damaged := bytes.Clone(both)
			damaged[i] = b
			if certificates, err := (credfile.File{Name: "bundle.pem", Content: damaged}).Certificates(); err == nil && len(certificates) != 2 {
				t.Errorf("with %q for %q in %q, %d certificates are left", b, both[i], both[max(0, i-20):i+1], len(certificates))
			}
		}
	}
}

// A certificate and its key may be in one file. The error names the file at fault.
func TestPair(t *testing.T) {
	ca := certificates.NewCA()
	own, other := ca.Server("a"), ca.Server("b")
	legacy := pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}, Bytes: []byte("geheim"),
	})
	for name, row := range map[string]struct {
		certificate, key []byte
		refusal          string // Empty: accepted.
	}{
		"apart":                     {own.CertPEM, own.KeyPEM, ""},
		"with its issuer":           {join(own.CertPEM, ca.PEM()), own.KeyPEM, ""},
		"in one file":               {join(own.KeyPEM, own.CertPEM), join(own.KeyPEM, own.CertPEM), ""},
		"with a byte order mark":    {join("\ufeff", own.CertPEM), join("\ufeff", own.KeyPEM), ""},
		"with parameters":           {own.CertPEM, join("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n", own.KeyPEM), ""},
		"a cut issuer":              {join(own.CertPEM, ca.PEM()[:100]), own.KeyPEM, "cert.pem, line "},
		"a damaged issuer":          {join(own.CertPEM, bytes.Replace(ca.PEM(), []byte("MII"), []byte("MIJ"), 1)), own.KeyPEM, "cert.pem, line "},
		"a cut key":                 {own.CertPEM, own.KeyPEM[:100], "key.pem, line 1, has a block that has no end"},
		"a damaged key":             {own.CertPEM, bytes.Replace(own.KeyPEM, []byte("MI"), []byte("MJ"), 1), "key.pem, line 1, has a private key that cannot be read"},
		"another's key":             {own.CertPEM, other.KeyPEM, "key.pem does not hold the private key of the certificate in cert.pem"},
		"two keys":                  {own.CertPEM, join(own.KeyPEM, other.KeyPEM), "has a second private key"},
		"an encrypted key":          {own.CertPEM, bytes.ReplaceAll(own.KeyPEM, []byte("PRIVATE"), []byte("ENCRYPTED PRIVATE")), "key.pem, line 1, has an encrypted private key"},
		"an encrypted key, as once": {own.CertPEM, legacy, "key.pem, line 1, has an encrypted private key"},
		"UTF-16":                    {own.CertPEM, utf16(own.KeyPEM), "key.pem is UTF-16"},
		"something else":            {own.CertPEM, bytes.ReplaceAll(own.KeyPEM, []byte("PRIVATE KEY"), []byte("PUBLIC KEY")), "key.pem, line 1, has something other than a private key"},
		"no key":                    {own.CertPEM, own.CertPEM, "key.pem contains no private key"},
	} {
		t.Run(name, func(t *testing.T) {
			pair, certificateErr, keyErr := credfile.Pair(credfile.File{Name: "cert.pem", Content: row.certificate}, credfile.File{Name: "key.pem", Content: row.key})
			said := ""
			for _, err := range []error{certificateErr, keyErr} {
				if err != nil {
					said += err.Error()
				}
			}
			if row.refusal == "" && (said != "" || pair.Leaf == nil) || row.refusal != "" && !strings.Contains(said, row.refusal) || strings.Contains(said, "geheim") {
				t.Errorf("%q, want %q", said, row.refusal)
			}
			if row.refusal == "" && len(pair.Certificate) != bytes.Count(row.certificate, []byte("BEGIN CERTIFICATE")) {
				t.Errorf("%d certificates", len(pair.Certificate))
			}
		})
	}
	if _, err := x509.ParseCertificate(own.TLS.Certificate[0]); err != nil {
		t.Fatal(err)
	}
}
