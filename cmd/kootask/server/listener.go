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

// listener is a port that knows its connections. It limits their number, and lets a stop end connections without a call. Balancers
// and browsers open such connections, and the server would wait for them in vain.
type listener struct {
	net.Listener
	room   room
	log    *slog.Logger
	open   prometheus.Gauge
	closed *prometheus.CounterVec // By reason.

	mu     sync.Mutex
	conns  map[*conn]struct{} // Guarded by mu, as are all fields below.
	unused list.List          // The conns without a call so far, oldest first.
	peers  map[string]*peer   // The peers with a connection.
	lines  lines
}

// peer is a host, as [caller.Peer] names it, that has connections to a port. Its fields are guarded by the listener's mu.
type peer struct {
	conns  int
	unused list.List // Like the listener's.
}

// conn is a connection of a listener.
type conn struct {
	net.Conn
	ahead    *ahead // Reads the Conn.
	listener *listener
	peer     string
	accepted time.Time
	called   atomic.Bool // The client has made a call.
	// inAll and inPeer are its places among the unused of the listener and of the peer. Nil after its first call, and after it was
	// closed. Guarded by the listener's mu.
	inAll, inPeer *list.Element
}

// Accept waits for a connection that has room. If there is no room, it closes the new connection or makes room.
func (l *listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &conn{Conn: accepted, ahead: newAhead(accepted), listener: l, accepted: time.Now(), peer: caller.Peer(accepted.RemoteAddr().String())}
		out, why := l.enter(c)
		if out != nil {
			_ = out.Conn.Close()
			l.tell(out.peer, why)
		}
		if out != c {
			return c, nil
		}
	}
}

// enter registers a connection. It returns the connection that has to be closed for it, which may be c, and the reason.
func (l *listener) enter(c *conn) (out *conn, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.peers[c.peer]
	if from == nil {
		from = &peer{}
	}
	// 1. Find room: a free place, or that of a connection without a call.
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
	// 2. Register the peer only now, because its only other connection may just have left.
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

// usedLocked removes a connection from the lists of those without a call, if it is there.
func (l *listener) usedLocked(c *conn) {
	if c.inAll != nil {
		l.unused.Remove(c.inAll)
		l.peers[c.peer].unused.Remove(c.inPeer)
		c.inAll, c.inPeer = nil, nil
	}
}

// tell counts a connection that was closed for lack of room, and logs one line per peer and minute.
func (l *listener) tell(peer, why string) {
	l.closed.WithLabelValues(why).Inc()
	l.mu.Lock()
	due := l.lines.due(peer, time.Now())
	l.mu.Unlock()
	if due {
		l.log.Warn("connection closed, limit reached", slog.String("peer", peer), slog.String("reason", why),
			slog.Int("max_connections", l.room.all), slog.Int("max_connections_per_peer", l.room.perPeer))
	}
}

// Read reads from the client.
func (c *conn) Read(b []byte) (int, error) { return c.ahead.Read(b) }

// RemoteAddr returns the client's address. It leads from a call to its connection: see [called].
func (c *conn) RemoteAddr() net.Addr { return origin{c.Conn.RemoteAddr(), c} }

// origin is the address of a connection's client.
type origin struct {
	net.Addr
	conn *conn
}

// called notes a call from an address. gRPC and net/http show nothing else of a call's connection, or only its TLS wrapper.
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

// Close closes the connection.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.leaveLocked(c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// closeNew closes the connections without a call that may be in the middle of a handshake. Connections older than the limit of a
// handshake are idle: their servers end them gracefully.
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
