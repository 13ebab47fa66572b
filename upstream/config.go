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

// Limits of the connections to KooDrive and of what is read from them.
const (
	// MaxBody is the size of the largest body that is read, in bytes, after it was unzipped.
	MaxBody = 64 << 10
	// MaxHeader is that of the largest header.
	MaxHeader   = 32 << 10
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
	idleTimeout = 50 * time.Second // Below the 60 s after which balancers forget a connection.
)

// Config is how KooDrive is reached.
type Config struct {
	// BaseURL is KooDrive's origin, for example https://cn.myhuaweicloud-koodrive.com. Required. It has no path.
	BaseURL string
	// AllowHTTP accepts an http BaseURL, over which credentials travel in the clear.
	AllowHTTP bool
	// Timeout is that of one request, its body included. 0 is DefaultTimeout.
	Timeout time.Duration
	// PerSecond is how many requests are sent in a second, and AtOnce how many are in flight at a time: in all, whoever
	// asks, and in turn for those who wait. 0 is DefaultPerSecond and DefaultAtOnce.
	PerSecond, AtOnce int
	// OutageChanged is called when the common circuit breaker opens, or that of the only active caller, and when KooDrive has answered
	// again. It must not block. Nil: nothing is called.
	OutageChanged func(down bool)
	// RootCAs returns the roots that KooDrive's certificate must come from. Each attempt calls it, and other roots than before
	// lead to new connections. Nil, and a nil pool, are the system's roots.
	RootCAs func() *x509.CertPool
	// Proxy is the HTTP proxy to go through. Nil is none: the environment's is never used.
	Proxy *url.URL
	// Dial opens connections. Nil tries all addresses of a host side by side.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// origin parses BaseURL, and leaves out the port that its scheme implies: the Host that is signed is the one that is
// sent.
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
		return nil, errors.New("KooDrive's URL is http, which sends credentials unencrypted. Use https, or set AllowHTTP (--upstream-allow-http)")
	case !validPort(u):
		return nil, errors.New("KooDrive's URL has an invalid port")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("KooDrive's URL has more than a host and a port")
	}
	host := strings.ToLower(u.Host)
	host = strings.TrimSuffix(host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

// hostForm is that of a name or an IP, with or without a port. net/http sends others in another form than it was given: a
// name that is not ASCII in Punycode, an IP without its zone.
var hostForm = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]*)?$`)

// validPort reports whether u has no port, or one that can be.
func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

// atOnce is AtOnce, or its default.
func (c Config) atOnce() int { return cmp.Or(c.AtOnce, DefaultAtOnce) }
