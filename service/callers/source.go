package callers

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/bounded"
	"github.com/kootask/kootask/internal/dial"
)

// Limits of a fetch, which gets discovery and the keys.
const (
	// FetchTimeout is how long each of the two may take once it has a connection.
	FetchTimeout = 5 * time.Second
	// ConnectTimeout is how long a connection may take, the resolver included: a name server that does not answer costs 5 s.
	ConnectTimeout = 12 * time.Second
	// MaxDocument is how large each may be, in bytes.
	MaxDocument = 1 << 20
)

// source is where an issuer's keys come from: its discovery document names the place.
type source struct {
	issuer string
	client *http.Client
	close  func()
}

// newSource returns the source of an issuer, or what is wrong with its URL. A nil transport is replaced by one of its own,
// which close closes.
func newSource(issuer string, transport http.RoundTripper) (*source, error) {
	u, err := url.Parse(issuer)
	if err != nil || !fetchable(u, true) || strings.ContainsAny(issuer, "?#") {
		return nil, errors.New("the issuer is not an https URL without user, query and fragment (http will do on a loopback host)")
	}
	s := &source{issuer: issuer, close: func() {}}
	if transport == nil {
		own := &http.Transport{
			DialContext:            connect,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    FetchTimeout,
			ResponseHeaderTimeout:  FetchTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			IdleConnTimeout:        FetchTimeout, // The keys follow discovery at once, and then nothing does for long.
		}
		transport, s.close = own, own.CloseIdleConnections
	}
	s.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse // Its status is not 200.
	}}
	return s, nil
}

// connect opens a connection, within ConnectTimeout: the request that it is for may have ended.
func connect(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, ConnectTimeout)
	defer cancel()
	return dial.Dialer{}.DialContext(ctx, network, address)
}

// fetchable reports whether u can be trusted to lead to whom it names: by https, or, if plain is allowed, by http to this
// machine.
func fetchable(u *url.URL, plain bool) bool {
	if u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return false
	}
	return u.Scheme == "https" || plain && u.Scheme == "http" && loopback(u.Hostname())
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || host == "localhost"
}

// fetch returns the keys of the issuer: never none.
func (s *source) fetch(ctx context.Context) (keySet, error) {
	var discovery struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	body, err := s.get(ctx, strings.TrimSuffix(s.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if err := json.Unmarshal(body, &discovery); err != nil {
		return nil, errors.New("discovery: it is not the JSON that it should be")
	}
	if discovery.Issuer != s.issuer {
		return nil, errors.New("discovery: it is another issuer's")
	}
	where, err := url.Parse(discovery.Keys)
	if err != nil || !fetchable(where, strings.HasPrefix(s.issuer, "http:")) {
		return nil, errors.New("discovery: jwks_uri is not an https URL without user and fragment")
	}
	body, err = s.get(ctx, where.String())
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return parseKeys(body)
}

// get returns what is at an address, or fails soon after its time is over, whatever net/http does.
func (s *source) get(ctx context.Context, address string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := time.AfterFunc(ConnectTimeout, func() { cancel(context.DeadlineExceeded) })
	defer limit.Stop()
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(httptrace.GotConnInfo) { limit.Reset(FetchTimeout) },
	})
	return bounded.Call(ctx, func() ([]byte, error) { return s.read(traced, address) })
}

func (s *source) read(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the status is %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxDocument+1))
	if err != nil {
		return nil, err
	}
	if len(body) > MaxDocument {
		return nil, fmt.Errorf("it has more than %d bytes", MaxDocument)
	}
	return body, nil
}
