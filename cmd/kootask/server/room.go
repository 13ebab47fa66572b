package server

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// AdminConnections is how many connections the admin port may have at a time.
const AdminConnections = 32

// room is how many connections a port may have at a time, in all and from one peer. 0 is no limit.
type room struct{ all, perPeer int }

// half is room for a number of connections, of which one peer may have half, so that no peer shuts the others out.
func half(all int) room { return room{all, (all + 1) / 2} }

// Why a connection is closed for want of room.
const (
	portFull  = "port_full"  // The port has as many as it may have.
	peerFull  = "peer_full"  // The peer has as many as a peer may have.
	neverUsed = "never_used" // It had made no call yet, and made room for another one.
)

// portMetrics are those of connections, for all ports.
type portMetrics struct {
	open   *prometheus.GaugeVec
	closed *prometheus.CounterVec
}

func newPortMetrics(registerer prometheus.Registerer) portMetrics {
	m := promauto.With(registerer)
	all := portMetrics{
		open: m.NewGaugeVec(prometheus.GaugeOpts{Name: "kootask_connections", Help: "Open connections."}, []string{"port"}),
		closed: m.NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_connections_closed_total", Help: "Connections closed because a limit was reached, by reason: port_full, peer_full (the address has half of the port) or never_used (the oldest connection without a call).",
		}, []string{"port", "reason"}),
	}
	for _, port := range []string{"grpc", "http", "admin"} {
		for _, why := range []string{portFull, peerFull, neverUsed} { // So that the first of its kind is an increase.
			all.closed.WithLabelValues(port, why)
		}
	}
	return all
}

// port returns a port that has room for connections.
func (s *Server) port(name string, l net.Listener, room room) *listener {
	return &listener{
		Listener: l, room: room, log: s.config.Log.With("port", name), open: s.ports.open.WithLabelValues(name),
		closed: s.ports.closed.MustCurryWith(prometheus.Labels{"port": name}),
	}
}

// publicRoom is the room of each public port. Behind proxies all connections come from the proxies, so only their number in
// all is limited.
func (s *Server) publicRoom() room {
	if s.config.Auth.TrustedHops > 0 {
		return room{all: s.config.MaxConnections}
	}
	return half(s.config.MaxConnections)
}

type fromKey struct{}

// withOrigin keeps where a connection comes from for its requests.
func withOrigin(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, fromKey{}, c.RemoteAddr())
}

// noted notes each request as a call of its connection.
func noted(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from, ok := r.Context().Value(fromKey{}).(net.Addr); ok {
			called(from)
		}
		handler.ServeHTTP(w, r)
	})
}

// lines decides which peers a line is logged for: each once a minute, and at most maxLines of them in that minute.
type lines struct {
	since time.Time
	peers map[string]struct{} // Those that have had theirs since then.
}

const maxLines = 1000

func (l *lines) due(peer string, now time.Time) bool {
	if now.Sub(l.since) >= time.Minute {
		l.since, l.peers = now, map[string]struct{}{}
	}
	if _, had := l.peers[peer]; had || len(l.peers) >= maxLines {
		return false
	}
	l.peers[peer] = struct{}{}
	return true
}
