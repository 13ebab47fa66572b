package server

import (
	"container/list"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/rpcserver"
)

// listener is a port that tracks its connections. It limits their number, and lets a stop close connections without a
// call, for which the servers would wait in vain. Load balancers and browsers open such connections.
type listener struct {
	net.Listener
	room   room
	log    *slog.Logger
	open   prometheus.Gauge
	closed *prometheus.CounterVec // By reason.

	mu     sync.Mutex
	conns  map[*conn]struct{} // Guarded by mu, as are the fields below.
	unused list.List          // The conns without a call, oldest first.
	peers  map[string]*peer   // The peers with connections.
	lines  lines
}

// peer is a host with connections to a port, as [caller.Peer] names it. Its fields are guarded by listener.mu.
type peer struct {
	conns  int
	unused list.List // Like listener.unused.
}

// conn is a connection of a listener.
type conn struct {
	net.Conn
	ahead    *ahead // Reads the Conn.
	listener *listener
	address  string // The client's.
	peer     string
	accepted time.Time
	called   atomic.Bool // The client has made a call.
	// inAll and inPeer are its elements in the unused lists of the listener and the peer; nil after its first call or
	// its close. Guarded by listener.mu.
	inAll, inPeer *list.Element
}

// Accept waits for a connection. At a limit, it closes either the new connection or the oldest one without a call.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		address := accepted.RemoteAddr().String()
		c := &conn{
			Conn: accepted, ahead: newAhead(accepted), listener: l, accepted: time.Now(),
			address: address, peer: caller.Peer(address),
		}
		out, why := l.enter(c)
		if out != nil {
			_ = out.Conn.Close()
			l.report(out.peer, why)
		}
		if out != c {
			return c, nil
		}
	}
}

// enter registers a connection. It returns the connection to close, which may be c, and the reason; nil if there is
// room.
func (l *listener) enter(c *conn) (out *conn, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.peers[c.peer]
	if from == nil {
		from = &peer{}
	}
	// 1. At a limit, find the oldest connection without a call, to take its place.
	unused := (*list.List)(nil)
	switch {
	case l.room.perPeer > 0 && from.conns >= l.room.perPeer:
		unused, why = &from.unused, peerFull
	case l.room.all > 0 && len(l.conns) >= l.room.all:
		unused, why = &l.unused, portFull
	}
	if unused != nil {
		oldest := unused.Front()
		if oldest == nil {
			return c, why
		}
		out, why = oldest.Value.(*conn), neverUsed
		l.leaveLocked(out)
	}
	// 2. Register the peer after that, because its only other connection may just have left.
	if l.conns == nil {
		l.conns, l.peers = map[*conn]struct{}{}, map[string]*peer{}
	}
	l.conns[c], l.peers[c.peer] = struct{}{}, from
	from.conns++
	c.inAll, c.inPeer = l.unused.PushBack(c), from.unused.PushBack(c)
	l.open.Inc()
	return out, why
}

// leaveLocked removes a connection, if it is registered.
func (l *listener) leaveLocked(c *conn) {
	if _, ok := l.conns[c]; !ok {
		return
	}
	l.usedLocked(c)
	delete(l.conns, c)
	from := l.peers[c.peer]
	if from.conns--; from.conns == 0 {
		delete(l.peers, c.peer)
	}
	l.open.Dec()
}

// usedLocked removes a connection from the lists of unused ones, if it is there.
func (l *listener) usedLocked(c *conn) {
	if c.inAll != nil {
		l.unused.Remove(c.inAll)
		l.peers[c.peer].unused.Remove(c.inPeer)
		c.inAll, c.inPeer = nil, nil
	}
}

// report counts a connection that was closed because of a limit, and logs one line per peer and minute.
func (l *listener) report(peer, why string) {
	l.closed.WithLabelValues(why).Inc()
	l.mu.Lock()
	due := l.lines.due(peer, time.Now())
	l.mu.Unlock()
	if due {
		l.log.Warn("connection closed, limit reached", slog.String("peer", peer), slog.String("reason", why),
			slog.Int("max_connections", l.room.all), slog.Int("max_connections_per_peer", l.room.perPeer))
	}
}

// Read reads from the client, through ahead.
func (c *conn) Read(b []byte) (int, error) { return c.ahead.Read(b) }

// RemoteAddr returns the client's address. called finds the connection by it.
func (c *conn) RemoteAddr() net.Addr { return origin{c.Conn.RemoteAddr(), c} }

// origin is the address of a connection's client.
type origin struct {
	net.Addr
	conn *conn
}

// String returns the address as text. Each call asks for it.
func (o origin) String() string { return o.conn.address }

// called records the first call of a connection. gRPC and net/http expose nothing of a call's connection but its
// address, or its TLS wrapper.
func called(from net.Addr) {
	o, ok := from.(origin)
	if !ok || o.conn.called.Swap(true) {
		return
	}
	l := o.conn.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	l.usedLocked(o.conn)
}

// Close closes the connection and unregisters it.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.leaveLocked(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// closeNew closes connections without a call that may be in the middle of a handshake. Older ones are idle: their
// servers close them gracefully.
func (l *listener) closeNew() {
	l.closeIf(func(c *conn) bool { return !c.called.Load() && time.Since(c.accepted) <= rpcserver.ConnectTimeout })
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
