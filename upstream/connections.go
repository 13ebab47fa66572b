package upstream

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// ConnectionAge is how long a connection gets new requests: the name or address may lead to another KooDrive server
	// by then.
	ConnectionAge = 90 * time.Second
	// AgeSpread is the largest share by which a connection's age is randomly shortened or lengthened.
	AgeSpread = 0.2
)

// connections holds the connections to KooDrive, in generations. An attempt uses a connection of the current
// generation. Whatever makes its connections doubtful ends the whole generation: their age, changed roots, an open
// circuit, an abandoned attempt. Its requests end first, and then its connections are closed.
type connections struct {
	config Config
	base   *url.URL
	late   chan struct{} // Holds an element for each dial that outlives its attempt. Never closed.

	mu      sync.Mutex
	current *generation // Nil: the next attempt starts one. Guarded by mu.
}

func newConnections(config Config, base *url.URL) *connections {
	return &connections{config: config, base: base, late: make(chan struct{}, config.atOnce())}
}

// generation is an http.Transport and the connections that it has opened. Each attempt must leave it.
//
// Its connections are closed below the transport: methods that take the transport's locks may never return.
type generation struct {
	*connections
	transport *http.Transport
	roots     *x509.CertPool
	until     time.Time       // Afterwards it is too old for new attempts.
	life      context.Context // Ends with the last attempt of a retired generation.
	end       context.CancelFunc

	answered atomic.Int64 // When the last answer began, in Unix nanoseconds.

	attempts int  // Guarded by connections.mu, as is retired.
	retired  bool // It gets no new attempts.

	openMu sync.Mutex
	open   map[*connection]struct{} // Guarded by openMu.
}

// enter returns the generation for an attempt, which must leave it.
func (c *connections) enter() *generation {
	var roots *x509.CertPool
	if c.config.RootCAs != nil {
		roots = c.config.RootCAs()
	}
	c.mu.Lock()
	g := c.current
	var over *generation
	if g != nil && (!time.Now().Before(g.until) || g.roots != roots && !g.roots.Equal(roots)) {
		over = c.retireLocked()
	}
	if c.current == nil {
		c.current = c.begin(roots)
	}
	g = c.current
	g.attempts++
	c.mu.Unlock()
	over.close()
	return g
}

func (c *connections) begin(roots *x509.CertPool) *generation {
	g := &generation{connections: c, roots: roots, open: map[*connection]struct{}{}}
	spread := 1 - AgeSpread + 2*AgeSpread*rand.Float64()
	g.until = time.Now().Add(time.Duration(spread * float64(ConnectionAge)))
	g.life, g.end = context.WithCancel(context.Background())
	g.transport = g.newTransport()
	return g
}

// leave ends an attempt.
func (g *generation) leave() {
	g.mu.Lock()
	g.attempts--
	over := g.overLocked()
	g.mu.Unlock()
	over.close()
}

// renew makes new attempts use new connections. It does not block.
func (c *connections) renew() {
	c.mu.Lock()
	over := c.retireLocked()
	c.mu.Unlock()
	over.close()
}

// renew is connections.renew, unless g is not the current generation any more.
func (g *generation) renew() {
	g.mu.Lock()
	var over *generation
	if g.current == g {
		over = g.retireLocked()
	}
	g.mu.Unlock()
	over.close()
}

// retireLocked retires the current generation. It returns the generation if it must be closed, otherwise nil.
func (c *connections) retireLocked() *generation {
	g := c.current
	if g == nil {
		return nil
	}
	c.current, g.retired = nil, true
	return g.overLocked()
}

// overLocked returns g if it must be closed, otherwise nil.
func (g *generation) overLocked() *generation {
	if g.retired && g.attempts == 0 {
		return g
	}
	return nil
}

// close closes the connections of g. g may be nil.
func (g *generation) close() {
	if g == nil {
		return
	}
	g.openMu.Lock()
	g.end()
	open := make([]*connection, 0, len(g.open))
	for conn := range g.open {
		open = append(open, conn)
	}
	g.openMu.Unlock()
	for _, conn := range open {
		_ = conn.Close()
	}
}

// connection is a network connection of a generation.
type connection struct {
	net.Conn
	generation *generation
}

// keep adds conn to g, or closes it if g is over.
func (g *generation) keep(conn net.Conn) (net.Conn, error) {
	g.openMu.Lock()
	defer g.openMu.Unlock()
	if err := g.life.Err(); err != nil {
		_ = conn.Close()
		return nil, err
	}
	kept := &connection{conn, g}
	g.open[kept] = struct{}{}
	return kept, nil
}

func (c *connection) Close() error {
	c.generation.openMu.Lock()
	delete(c.generation.open, c)
	c.generation.openMu.Unlock()
	return c.Conn.Close()
}

// newTransport returns the transport of a generation. net/http calls Proxy each time before it sends a request over
// HTTP/1.1. That is used to prevent it from sending one again: see trip.
func (g *generation) newTransport() *http.Transport {
	atOnce := g.config.atOnce()
	return &http.Transport{
		DialContext:            g.dial,
		DialTLSContext:         g.dialTLS,
		MaxIdleConns:           atOnce,
		MaxIdleConnsPerHost:    atOnce,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: MaxHeader,
		ForceAttemptHTTP2:      true,
		// Pings detect a silently dropped connection before all polls on it time out.
		HTTP2: &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
		Proxy: func(req *http.Request) (*url.URL, error) {
			if err := tripOf(req.Context()).again(); err != nil {
				return nil, err
			}
			if g.base.Scheme == schemeHTTPS { // dialTLS makes the tunnel.
				return nil, nil
			}
			return g.config.Proxy, nil
		},
	}
}
