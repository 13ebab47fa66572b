package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/internal/loopback"
	"github.com/kootask/kootask/service/caller"
)

// securityFlags configure TLS and the caller's credentials.
type securityFlags struct {
	TLS             bool   `help:"Use TLS, and trust the system's certificates."`
	CA              string `placeholder:"FILE" help:"PEM file with the certificates to trust, in place of the system's. Implies --tls."`
	Cert            string `placeholder:"FILE" help:"PEM file with the client certificate, for a kootask that requires one. Implies --tls."`
	Key             string `placeholder:"FILE" help:"PEM file with the certificate's private key."`
	CallerTokenFile string `placeholder:"FILE" help:"File with the token that authenticates you to kootask. Every call reads it again."`
	// Its variable differs from that of serve's flag: a permission for the server must not let a client send
	// credentials in plaintext.
	AllowPlaintext bool `env:"KOOTASK_CLIENT_ALLOW_PLAINTEXT" help:"Send credentials in plaintext to other than loopback addresses."`
}

// security returns the TLS config of a connection to host. Nil: plaintext. An empty host is this machine.
func (f securityFlags) security(p *problems, host string) *tls.Config {
	if !f.TLS && f.CA == "" && f.Cert == "" && f.Key == "" {
		if !f.AllowPlaintext && !loopback.Host(cmp.Or(host, "localhost")) {
			p.add("addr", errors.New("credentials would travel unencrypted. Set --tls, or --allow-plaintext to send them anyway"))
		}
		return nil
	}
	if f.AllowPlaintext {
		p.add("allow-plaintext", errors.New("cannot be combined with --tls, --ca, --cert or --key"))
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.CA != "" {
		pool, err := readCertificates(f.CA)
		p.add("ca", err)
		config.RootCAs = pool
	}
	switch {
	case f.Cert != "" && f.Key != "":
		config.Certificates = f.certificates(p)
	case f.Cert != "":
		p.add("cert", errors.New("requires --key"))
	case f.Key != "":
		p.add("key", errors.New("requires --cert"))
	}
	return config
}

// certificates returns the client certificate.
func (f securityFlags) certificates(p *problems) []tls.Certificate {
	cert, certErr := credfile.Read(f.Cert)
	key, keyErr := credfile.Read(f.Key)
	pair, invalidCert, invalidKey := credfile.Pair(
		credfile.File{Name: f.Cert, Content: cert}, credfile.File{Name: f.Key, Content: key})
	p.add("cert", cmp.Or(certErr, invalidCert))
	p.add("key", cmp.Or(keyErr, invalidKey))
	return []tls.Certificate{pair}
}

// maxCallerToken is the maximum length of a caller's token, in bytes.
const maxCallerToken = caller.MaxToken

var (
	callerTokenForm = regexp.MustCompile(`^(?i:bearer +)?([!-~]+)$`)
	bearerAlone     = regexp.MustCompile(`^(?i:bearer)$`)
)

// callerToken returns a function that reads the caller's token; nil without a file.
func (f securityFlags) callerToken(p *problems) func() (string, error) {
	if f.CallerTokenFile == "" {
		return nil
	}
	read := func() (string, error) { return readCallerToken(f.CallerTokenFile) }
	_, err := read()
	p.add("caller-token-file", err)
	return read
}

// readCallerToken returns the token in a file, without Bearer. Its errors do not contain the content.
func readCallerToken(file string) (string, error) {
	text, err := readLine(file)
	if err != nil {
		return "", err
	}
	m := callerTokenForm.FindStringSubmatch(text)
	if m == nil || len(m[1]) > maxCallerToken || bearerAlone.MatchString(m[1]) {
		return "", fmt.Errorf("%s does not contain a token: it must be visible ASCII without spaces, at most %d KiB",
			file, maxCallerToken>>10)
	}
	return m[1], nil
}

// readLine returns the only line of a file.
func readLine(file string) (string, error) {
	content, err := credfile.Read(file)
	if err != nil {
		return "", err
	}
	lines, err := credfile.File{Name: file, Content: content}.Lines()
	if err != nil {
		return "", err
	}
	if len(lines) > 1 {
		return "", fmt.Errorf("%s has more than one line", file)
	}
	return lines[0], nil
}
