package main

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"regexp"
)

// securityFlags say how a connection to a server is secured, and who calls.
type securityFlags struct {
	TLS             bool   `help:"Speak TLS, and trust the system's certificates."`
	CA              string `placeholder:"FILE" help:"PEM file with the certificates to trust, in place of the system's. Implies --tls."`
	Cert            string `placeholder:"FILE" help:"PEM file with the client certificate, for a kootask that asks for one. Implies --tls."`
	Key             string `placeholder:"FILE" help:"PEM file with its private key."`
	CallerTokenFile string `placeholder:"FILE" help:"File with the token by which kootask itself knows the caller. Every call reads it anew."`
	// Its variable is not that of serve's flag: what a server may accept is no leave to send credentials anywhere.
	AllowPlaintext bool `env:"KOOTASK_CLIENT_ALLOW_PLAINTEXT" help:"Send credentials in the clear to an address other than loopback, too."`
}

// security returns how a connection to host is secured: nil is plaintext. An empty host is this machine.
func (f securityFlags) security(p *problems, host string) *tls.Config {
	if !f.TLS && f.CA == "" && f.Cert == "" && f.Key == "" {
		if !f.AllowPlaintext && !isLoopback(cmp.Or(host, "localhost")) {
			p.add("addr", errors.New("credentials would travel in the clear: say --tls, or --allow-plaintext if that is meant"))
		}
		return nil
	}
	if f.AllowPlaintext {
		p.add("allow-plaintext", errors.New("it does not go with --tls, --ca, --cert and --key"))
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
		p.add("cert", errors.New("it goes with --key, which is missing"))
	case f.Key != "":
		p.add("key", errors.New("it goes with --cert, which is missing"))
	}
	return config
}

// certificates returns the client certificate.
func (f securityFlags) certificates(p *problems) []tls.Certificate {
	cert, certErr := os.ReadFile(f.Cert)
	key, keyErr := os.ReadFile(f.Key)
	pair, err := tls.X509KeyPair(cert, key)
	if err == nil {
		return []tls.Certificate{pair}
	}
	// Go's error does not tell which file it is about.
	if certErr == nil && !x509.NewCertPool().AppendCertsFromPEM(cert) {
		certErr = fmt.Errorf("%s holds no certificate in PEM form", f.Cert)
	}
	if keyErr == nil && !holdsKey(key) {
		keyErr = fmt.Errorf("%s holds no private key in PEM form, or an encrypted one", f.Key)
	}
	if certErr == nil && keyErr == nil {
		keyErr = fmt.Errorf("%s does not hold the private key of the certificate in %s", f.Key, f.Cert)
	}
	p.add("cert", certErr)
	p.add("key", keyErr)
	return nil
}

// holdsKey reports whether there is a private key in PEM form that can be read.
func holdsKey(text []byte) bool {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return false
		}
		_, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		_, errRSA := x509.ParsePKCS1PrivateKey(block.Bytes)
		_, errEC := x509.ParseECPrivateKey(block.Bytes)
		if err == nil || errRSA == nil || errEC == nil {
			return true
		}
	}
}

// maxCallerToken is the length of the longest caller's token, in bytes.
const maxCallerToken = 4 << 10

var (
	callerTokenForm = regexp.MustCompile(`^(?i:bearer )?([!-~]+)$`)
	bearerAlone     = regexp.MustCompile(`^(?i:bearer)$`)
)

// callerToken returns a function that reads the caller's token, nil if there is no file.
func (f securityFlags) callerToken(p *problems) func() (string, error) {
	if f.CallerTokenFile == "" {
		return nil
	}
	read := func() (string, error) { return readCallerToken(f.CallerTokenFile) }
	_, err := read()
	p.add("caller-token-file", err)
	return read
}

// readCallerToken returns the token in a file, without Bearer. Its errors hold nothing of the content.
func readCallerToken(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text = bytes.TrimSpace(text)
	if len(text) == 0 {
		return "", fmt.Errorf("%s is empty", file)
	}
	m := callerTokenForm.FindSubmatch(text)
	if m == nil || len(m[1]) > maxCallerToken || bearerAlone.Match(m[1]) {
		return "", fmt.Errorf("%s holds no token: want visible ASCII without blanks, %d KiB at the most", file, maxCallerToken>>10)
	}
	return string(m[1]), nil
}
