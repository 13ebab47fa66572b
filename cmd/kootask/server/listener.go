package server

import (
	"net"
	"sync"
	"sync/atomic"
)

// listener is a port that knows its connections, so that a stop can end those that its server would wait for in vain:
// balancers and browsers open some that never say anything.
type listener struct {
	net.Listener
	mu    sync.Mutex
	conns map[*conn]struct{} // Guarded by mu.
}

// conn is a connection of a listener.
type conn struct {
	net.Conn
	listener *listener
	heard    atomic.Bool // The client has sent something.
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: accepted, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = map[*conn]struct{}{}
	}
	l.conns[c] = struct{}{}
	return c, nil
}

// Read reads from the client.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, err
}

// Close closes the connection.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// closeSilent closes the connections whose client has not sent anything.
func (l *listener) closeSilent() {
	l.closeIf(func(c *conn) bool { return !c.heard.Load() })
}

// closeAll closes all connections.
func (l *listener) closeAll() { l.closeIf(func(*conn) bool { return true }) }

func (l *listener) closeIf(ends func(*conn) bool) {
	l.mu.Lock()
	var ending []*conn
	for c := range l.conns {
		if ends(c) {
			ending = append(ending, c)
		}
	}
	l.mu.Unlock()
	for _, c := range ending {
		_ = c.Close()
	}
}
