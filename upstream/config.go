package upstream

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Defaults of Config.
const (
	DefaultTimeout   = 10 * time.Second
	DefaultPerSecond = 50
	DefaultAtOnce    = 64
)

// Limits of the connections to KooDrive and of the answers.
const (
	// MaxBody is the size of the largest body that is read, in bytes, after decompression.
	MaxBody = 64 << 10
	// MaxHeader is the size of the largest header that is read, in bytes.
	MaxHeader   = 32 << 10
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
	idleTimeout = 50 * time.Second // Below the 60 s after which load balancers drop a connection.
)

// Config configures a Client.
type Config struct {
	// BaseURL is KooDrive's origin, for example https://cn.myhuaweicloud-koodrive.com, without a path. Required.
	BaseURL string
	// AllowHTTP accepts an http BaseURL, which sends credentials unencrypted.
	AllowHTTP bool
	// Timeout limits one request, including its body. 0: DefaultTimeout.
	Timeout time.Duration
	// PerSecond limits the requests per second and AtOnce those in flight, of all callers together. Callers that wait
	// are served round robin. 0: DefaultPerSecond and DefaultAtOnce.
	PerSecond, AtOnce int
	// OutageChanged is called when the common circuit breaker, or that of the only active caller, opens, and when
	// KooDrive has answered again. It must not block. Nil: it is not called.
	OutageChanged func(down bool)
	// RootCAs returns the authorities for KooDrive's certificate. It is called for each attempt; a changed pool leads
	// to new connections. Nil, and a nil pool: the system's.
	RootCAs func() *x509.CertPool
	// Dialect is how KooDrive speaks. Nil: [Documented].
	Dialect *Dialect
	// Proxy is the HTTP proxy to KooDrive. Nil: none; the environment's is never used.
	Proxy *url.URL
	// Dial opens connections. Nil: all addresses of a host are tried in parallel.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// origin parses BaseURL. It removes a default port, so that the signed Host is the one that is sent.
func (c Config) origin() (*url.URL, error) {
	if c.BaseURL == "" {
		return nil, errors.New("KooDrive's URL is missing")
	}
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || u.Hostname() == "":
		return nil, errors.New("KooDrive's URL is malformed. It must look like https://cn.myhuaweicloud-koodrive.com")
	case !hostForm.MatchString(u.Host):
		return nil, errors.New("KooDrive's URL has an invalid host. It must be ASCII, and an IP address must not have a zone")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("KooDrive's URL has scheme %q. It must be https", u.Scheme)
	case u.Scheme == "http" && !c.AllowHTTP:
		return nil, errors.New("KooDrive's URL is http, which sends credentials unencrypted. " +
			"Use https, or set AllowHTTP (--upstream-allow-http)")
	case !validPort(u):
		return nil, errors.New("KooDrive's URL has an invalid port")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("KooDrive's URL has more than a host and a port")
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

// hostForm matches a name or an IP address, with or without a port. net/http changes other hosts: it converts non-ASCII
// names to Punycode and removes the zone of an IP address.
var hostForm = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?$`)

// validPort reports whether u has a valid port or none.
func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

// atOnce returns AtOnce or its default.
func (c Config) atOnce() int { return cmp.Or(c.AtOnce, DefaultAtOnce) }
