package credfile

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"strings"
)

// block is one block of a file in PEM form.
type block struct {
	*pem.Block
	line int // Where it begins.
}

var (
	begin = regexp.MustCompile(`^-----BEGIN [A-Z0-9 ]+-----$`)
	end   = regexp.MustCompile(`^-----END [A-Z0-9 ]+-----$`)
	// remains matches parts of the border of a damaged or truncated block. Other text around blocks is allowed.
	remains = regexp.MustCompile(`-----[A-Z]|[A-Z]-----|\b(BEGIN|END) [A-Z0-9 ]*(CERTIFICATE|KEY)\b`)
)

// blocks returns all blocks of a file. [pem.Decode] skips a damaged block; blocks fails unless each border is part of a
// readable block.
func (f File) blocks() ([]block, error) {
	text, err := f.text()
	if err != nil {
		return nil, err
	}
	var all []block
	var open strings.Builder // The block that has begun; empty without one.
	number, began := 0, 0
	for line := range strings.Lines(text) {
		number++
		border := strings.TrimRight(line, spaces)
		switch {
		case open.Len() == 0 && begin.MatchString(border):
			began = number
			open.WriteString(line)
		case open.Len() > 0 && end.MatchString(border):
			open.WriteString(line)
			decoded, _ := pem.Decode([]byte(open.String()))
			if decoded == nil {
				return nil, f.refuse(began, "has a damaged block")
			}
			all = append(all, block{decoded, began})
			open.Reset()
		case remains.MatchString(border) || open.Len() == 0 && cutOff(line):
			return nil, f.refuse(number, "has a damaged block")
		case open.Len() > 0:
			open.WriteString(line)
		}
	}
	if open.Len() > 0 {
		return nil, f.refuse(began, "has a block that has no end")
	}
	return all, nil
}

// cutOff reports whether line is the truncated last line of a file, within the border of a block.
func cutOff(line string) bool {
	const border = "-----BEGIN "
	return !strings.HasSuffix(line, "\n") && strings.HasPrefix(border, line)
}

// certificates returns all certificates of a file, at least one. Blocks of the kinds others are skipped.
func (f File) certificates(others ...string) ([]*x509.Certificate, error) {
	blocks, err := f.blocks()
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, b := range blocks {
		if b.Type != "CERTIFICATE" {
			if !isOneOf(b.Type, others) {
				return nil, f.refuse(b.line, "has something other than a certificate")
			}
			continue
		}
		certificate, err := x509.ParseCertificate(b.Bytes)
		if err != nil { // The parser's error may quote the certificate.
			return nil, f.refuse(b.line, "has a certificate that cannot be read")
		}
		all = append(all, certificate)
	}
	if len(all) == 0 {
		return nil, f.refuse(0, "contains no certificate in PEM form")
	}
	return all, nil
}

// Pool returns a pool of the certificates in a file. It fails if a block is damaged, truncated or not a certificate.
func (f File) Pool() (*x509.CertPool, error) {
	certificates, err := f.certificates()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, certificate := range certificates {
		pool.AddCert(certificate)
	}
	return pool, nil
}

// Suffixes of the types of blocks that may be in one file with a certificate or its key.
const (
	keys       = "PRIVATE KEY"
	parameters = "PARAMETERS"
)

func isOneOf(kind string, ends []string) bool {
	for _, end := range ends {
		if strings.HasSuffix(kind, end) {
			return true
		}
	}
	return false
}

// Pair returns a certificate, followed by its intermediates, and its private key. Both may be in one file. For a valid
// file, the error is nil.
func Pair(certificate, key File) (pair tls.Certificate, certificateErr, keyErr error) {
	chain, certificateErr := certificate.certificates(keys, parameters)
	keyPEM, keyErr := key.key()
	if certificateErr != nil || keyErr != nil {
		return tls.Certificate{}, certificateErr, keyErr
	}
	var chainPEM []byte
	for _, one := range chain {
		chainPEM = append(chainPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: one.Raw})...)
	}
	pair, err := tls.X509KeyPair(chainPEM, keyPEM)
	if err != nil { // Both are readable, so they do not match.
		return tls.Certificate{}, nil, key.refuse(0, "does not hold the private key of the certificate in "+certificate.Name)
	}
	return pair, nil, nil
}

// key returns the block with the only private key of a file.
func (f File) key() ([]byte, error) {
	blocks, err := f.blocks()
	if err != nil {
		return nil, err
	}
	var found *block
	for _, b := range blocks {
		switch {
		case b.Type == "ENCRYPTED PRIVATE KEY" || strings.HasSuffix(b.Type, keys) && b.Headers["DEK-Info"] != "":
			return nil, f.refuse(b.line, "has an encrypted private key: decrypt it, for example with openssl pkey")
		case strings.HasSuffix(b.Type, keys) && found != nil:
			return nil, f.refuse(b.line, "has a second private key")
		case strings.HasSuffix(b.Type, keys):
			found = &b
		case b.Type != "CERTIFICATE" && !strings.HasSuffix(b.Type, parameters):
			return nil, f.refuse(b.line, "has something other than a private key")
		}
	}
	if found == nil {
		return nil, f.refuse(0, "contains no private key in PEM form")
	}
	if !isKey(found.Bytes) {
		return nil, f.refuse(found.line, "has a private key that cannot be read")
	}
	return pem.EncodeToMemory(found.Block), nil
}

// isKey reports whether der is a private key in a format that [tls.X509KeyPair] accepts.
func isKey(der []byte) bool {
	_, err := x509.ParsePKCS8PrivateKey(der)
	_, errRSA := x509.ParsePKCS1PrivateKey(der)
	_, errEC := x509.ParseECPrivateKey(der)
	return err == nil || errRSA == nil || errEC == nil
}
