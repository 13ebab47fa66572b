package main

import (
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/kootask/kootask/cmd/kootask/credfile"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/cmd/kootask/server/reload"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/gateway"
)

// callerFlags configure TLS, authentication and the policy.
type callerFlags struct {
	TLSCert        string   `group:"Callers" placeholder:"FILE" help:"PEM file with the server's certificate, followed by its intermediates. Without it both ports are plaintext."`
	TLSKey         string   `group:"Callers" placeholder:"FILE" help:"PEM file with the certificate's private key."`
	TLSClientCA    string   `group:"Callers" placeholder:"FILE" help:"PEM file with the authorities of client certificates. Every client then needs a certificate."`
	TLSClientSAN   []string `group:"Callers" placeholder:"NAME" help:"Subject alternative names, like DNS:orders.example or URI:spiffe://example/orders. A client's certificate must have one of them; * accepts any."`
	AllowPlaintext bool     `group:"Callers" help:"Allow other than loopback addresses without TLS, because a proxy in front terminates it."`
	OIDCIssuer     string   `group:"Callers" placeholder:"URL" help:"OpenID Connect issuer of the tokens that callers must present."`
	OIDCAudience   string   `group:"Callers" placeholder:"NAME" help:"Required aud claim of these tokens."`
	OIDCCA         string   `name:"oidc-ca" group:"Callers" placeholder:"FILE" help:"PEM file with the certificates to trust for the issuer. Default: the system's."`
	OIDCProxy      string   `group:"Callers" placeholder:"URL" help:"HTTP proxy for requests to the issuer. Default: none; the environment's proxy is never used."`
	OIDCHeader     string   `group:"Callers" enum:"x-kootask-authorization,authorization" default:"x-kootask-authorization" help:"Header with the caller's token: x-kootask-authorization or, with --upstream-auth=app, authorization."`
	PolicyFile     string   `group:"Callers" placeholder:"FILE" help:"YAML file that says which callers may act for which KooDrive users. Requires --upstream-auth=app."`
	FailedPerPeer  int      `group:"Callers" default:"20" help:"Failed authentications per second allowed from one address (burst: 10 times that). Above it the error is CALLER_LIMIT_REACHED."`
	TrustedHops    int      `group:"Callers" default:"0" help:"Number of proxies that every request passes. Each must append its client's address to X-Forwarded-For."`
	originFlags
}

// originFlags say whose pages may read answers.
type originFlags struct {
	CORSOrigin []string `group:"Callers" placeholder:"ORIGIN" help:"Origins whose pages may read answers, like https://tasks.example."`
}

// check adds a problem for each invalid origin.
func (f originFlags) check(p *problems) {
	for _, origin := range f.CORSOrigin {
		p.add("cors-origin", gateway.CheckOrigin(origin))
	}
}

// maxHops is the maximum number of proxies in front.
const maxHops = 10

// config applies the flags to config, whose ports are those of f. Files are reloaded when they change.
func (c callerFlags) config(p *problems, f serviceFlags, config *server.Config) {
	c.checkTogether(p, f)
	if c.TLSCert != "" && c.TLSKey != "" {
		paths := []string{c.TLSCert, c.TLSKey}
		if c.TLSClientCA != "" {
			paths = append(paths, c.TLSClientCA)
		}
		secured, err := reload.Read(config.Files, "tls", paths, func(files []credfile.File) (server.TLS, error) {
			files = append(files, credfile.File{}) // In place of missing client authorities.
			return server.ParseTLS(files[0], files[1], files[2])
		})
		p.add("tls-cert", err)
		config.TLS = secured
	}
	if config.TLS != nil && c.TLSClientCA != "" {
		config.Auth.ClientCAs = func() *x509.CertPool { return config.TLS().ClientCAs }
		config.Auth.SANs = c.TLSClientSAN
	}
	if c.OIDCIssuer != "" && c.OIDCAudience != "" {
		config.Auth.Tokens, config.Auth.TokenHeader = c.tokens(p, config.Files), c.OIDCHeader
	}
	if c.PolicyFile != "" {
		read := func(files []credfile.File) (*auth.Policy, error) {
			policy, err := auth.ParsePolicy(files[0].Content)
			if err != nil {
				err = fmt.Errorf("%s: %w", files[0].Name, err)
			}
			return policy, err
		}
		policy, err := reload.Read(config.Files, "policy", []string{c.PolicyFile}, read)
		p.add("policy-file", err)
		config.Auth.Policy = policy
	}
	config.Auth.FailuresPerPeer, config.Auth.TrustedHops = c.FailedPerPeer, c.TrustedHops
	config.Origins, config.LocalHosts = c.CORSOrigin, config.LocalHosts && !c.known()
}

// tokens returns the config of the tokens that are accepted.
func (c callerFlags) tokens(p *problems, files *reload.Files) *auth.TokensConfig {
	config := &auth.TokensConfig{Issuer: c.OIDCIssuer, Audience: c.OIDCAudience}
	tokens, err := auth.NewTokens(*config)
	p.add("oidc-issuer", err)
	if err == nil {
		tokens.Close()
	}
	if c.OIDCCA != "" {
		config.RootCAs, err = reload.Read(files, "oidc-ca", []string{c.OIDCCA}, parsePool)
		p.add("oidc-ca", err)
	}
	if c.OIDCProxy != "" {
		config.Proxy, err = parseProxy(c.OIDCProxy)
		p.add("oidc-proxy", err)
	}
	return config
}

// known reports whether callers must authenticate.
func (c callerFlags) known() bool { return c.TLSClientCA != "" || c.OIDCIssuer != "" }

// checkTogether reports flags that require or exclude each other.
func (c callerFlags) checkTogether(p *problems, f serviceFlags) {
	app := f.UpstreamAuth == "app"
	for _, rule := range []struct {
		broken        bool
		flag, problem string
	}{
		{(c.TLSCert == "") != (c.TLSKey == ""), "tls-key", "must be set together with --tls-cert"},
		{c.TLSClientCA != "" && c.TLSCert == "", "tls-client-ca", "requires --tls-cert"},
		{(c.TLSClientCA == "") != (len(c.TLSClientSAN) == 0), "tls-client-san",
			"must be set together with --tls-client-ca; * accepts every certificate that it has signed"},
		{(c.OIDCIssuer == "") != (c.OIDCAudience == ""), "oidc-audience", "must be set together with --oidc-issuer"},
		{c.OIDCCA != "" && c.OIDCIssuer == "", "oidc-ca", "requires --oidc-issuer"},
		{c.OIDCProxy != "" && c.OIDCIssuer == "", "oidc-proxy", "requires --oidc-issuer"},
		{c.OIDCHeader == caller.HeaderAuthorization && c.OIDCIssuer == "", "oidc-header", "requires --oidc-issuer"},
		{c.OIDCHeader == caller.HeaderAuthorization && !app, "oidc-header",
			"authorization requires --upstream-auth=app, because otherwise it has the credential for KooDrive"},
		{c.AllowPlaintext && c.TLSCert != "", "allow-plaintext", "cannot be combined with --tls-cert"},
		{c.PolicyFile != "" && (!app || !c.known()), "policy-file",
			"requires --upstream-auth=app, and --tls-client-ca or --oidc-issuer"},
		{c.PolicyFile == "" && app && c.known(), "policy-file",
			"required with --upstream-auth=app and authenticated callers, to say for whom they may act"},
		{len(c.CORSOrigin) > 0 && c.TLSClientCA != "", "cors-origin",
			"cannot be combined with --tls-client-ca, because browsers send preflight requests without a certificate"},
		{c.FailedPerPeer < 1, "failed-per-peer", "must be at least 1"},
		{c.TrustedHops < 0 || c.TrustedHops > maxHops, "trusted-hops", fmt.Sprintf("must be from 0 to %d", maxHops)},
	} {
		if rule.broken {
			p.add(rule.flag, errors.New(rule.problem))
		}
	}
	for _, name := range c.TLSClientSAN {
		if name != auth.AnySAN && !auth.SANForm(name) {
			p.add("tls-client-san", errors.New("must be a name like DNS:orders.example, or *"))
		}
	}
	c.check(p)
	if c.TLSCert == "" && !c.AllowPlaintext {
		f.onlyLoopback(p, "without --tls-cert, or --allow-plaintext if a proxy in front terminates TLS")
	}
	if app && !c.known() {
		f.onlyLoopback(p, "with --upstream-auth=app, unless --tls-client-ca or --oidc-issuer is set")
	}
}
