package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/bounded"
	"github.com/kootask/kootask/internal/dial"
	"github.com/kootask/kootask/internal/loopback"
	"github.com/kootask/kootask/internal/unpack"
)

// Limits of a fetch, which requests the discovery document and the keys.
const (
	// FetchTimeout limits each of the two requests, once it has a connection.
	FetchTimeout = 5 * time.Second
	// ConnectTimeout limits the connection, name resolution included: a name server that does not answer costs 5 s.
	ConnectTimeout = 12 * time.Second
	// MaxDocument limits the size of each document, in bytes.
	MaxDocument = 1 << 20
)

// source fetches the keys of an issuer, whose discovery document has their URL.
type source struct {
	issuer    string
	transport http.RoundTripper     // Nil: each fetch makes its own.
	roots     func() *x509.CertPool // Authorities that the issuer's certificate is verified with. Nil: the system's.
	proxy     *url.URL              // Nil: no proxy.
}

// newSource returns the source of an issuer, or an error if its URL is invalid.
func newSource(c TokensConfig) (*source, error) {
	u, err := url.Parse(c.Issuer)
	if err != nil || !fetchable(u, true) || strings.ContainsAny(c.Issuer, "?#") {
		return nil, errors.New("must be an https URL without user, query and fragment (or http on a loopback host)")
	}
	return &source{issuer: c.Issuer, transport: c.Transport, roots: c.RootCAs, proxy: c.Proxy}, nil
}

// connect returns a client for one fetch, and a function that closes its connections. They are not reused: the next
// fetch is minutes away, and the roots may have changed by then.
func (s *source) connect() (client *http.Client, end func()) {
	transport, end := s.transport, func() {}
	if transport == nil {
		own := &http.Transport{
			DialContext:            connect,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    FetchTimeout,
			ResponseHeaderTimeout:  FetchTimeout,
			MaxResponseHeaderBytes: 64 << 10,
		}
		if s.roots != nil {
			own.TLSClientConfig.RootCAs = s.roots()
		}
		if s.proxy != nil {
			own.Proxy, own.OnProxyConnectResponse = http.ProxyURL(s.proxy), refusedByProxy
		}
		transport, end = own, own.CloseIdleConnections
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // Any status but 200 is an error.
	}}, end
}

// refusedByProxy replaces net/http's error, which quotes the proxy's URL with its credential.
func refusedByProxy(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the proxy's status is %d", answer.StatusCode)
	}
	return nil
}

// connect opens a connection within ConnectTimeout. It needs a limit of its own: net/http goes on connecting after the
// request has ended.
func connect(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	return dial.Dialer{}.DialContext(ctx, network, address)
}

// fetchable reports whether u authenticates its host: by https or, if plain is allowed, by http on a loopback host.
func fetchable(u *url.URL, plain bool) bool {
	if u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || plain && u.Scheme == "http" && loopback.Host(u.Hostname())
}

// fetch returns the keys of the issuer, at least one.
func (s *source) fetch(ctx context.Context) (keySet, error) {
	client, end := s.connect()
	defer func() { go end() }() // Closing takes the transport's locks, which may be held forever.
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	body, err := get(ctx, client, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if err := json.Unmarshal(body, &discovery); err != nil {
		return nil, errors.New("discovery: not the expected JSON")
	}
	if discovery.Issuer != s.issuer {
		return nil, errors.New("discovery: the document is another issuer's")
	}
	where, err := url.Parse(discovery.Keys)
	if err != nil || !fetchable(where, strings.HasPrefix(s.issuer, "http:")) {
		return nil, errors.New("discovery: jwks_uri is not an https URL without user and fragment")
	}
	body, err = get(ctx, client, where.String())
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return parseKeys(body)
}

// get returns the document at an address. It returns soon after its time limit, whatever net/http does.
func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := time.AfterFunc(ConnectTimeout, func() { cancel(context.DeadlineExceeded) })
	defer limit.Stop()
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { limit.Reset(FetchTimeout) },
	})
	return bounded.Call(ctx, func() ([]byte, error) { return read(traced, client, address) })
}

func read(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the status is %d", response.StatusCode)
	}
	body, err := unpack.Body(response, MaxDocument+1)
	if ctx.Err() != nil { // The issuer may end a body that drips when the request is cancelled, as if it were complete.
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, err
	}
	if len(body) > MaxDocument {
		return nil, fmt.Errorf("the answer has more than %d bytes", MaxDocument)
	}
	return body, nil
}
