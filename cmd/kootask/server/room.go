package server

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// AdminConnections is the maximum number of connections to the admin port.
const AdminConnections = 32

// room limits the connections to a port, in all and from one peer. 0: no limit.
type room struct{ all, perPeer int }

// half returns a limit of all connections, half of which one peer may have, so that a peer cannot exclude the others.
func half(all int) room { return room{all, (all + 1) / 2} }

// Reasons for closing a connection at a limit.
const (
	portFull  = "port_full"  // The port has reached its limit.
	peerFull  = "peer_full"  // The peer has reached its limit.
	neverUsed = "never_used" // It had no call, and made way for another connection.
)

// portMetrics are the metrics of connections, for all ports.
type portMetrics struct {
	open   *prometheus.GaugeVec
	closed *prometheus.CounterVec
}

func newPortMetrics(registerer prometheus.Registerer) portMetrics {
	m := promauto.With(registerer)
	all := portMetrics{
		open: m.NewGaugeVec(prometheus.GaugeOpts{Name: "kootask_connections", Help: "Open connections."}, []string{"port"}),
		closed: m.NewCounterVec(prometheus.CounterOpts{
			Name: "kootask_connections_closed_total",
			Help: "Connections closed because a limit was reached, by reason: port_full, " +
				"peer_full (the address has 50 % of the port) or never_used (the oldest connection without a call).",
		}, []string{"port", "reason"}),
	}
	for _, port := range []string{"grpc", "http", "admin"} {
		// A series at 0 makes its first event visible to rate().
		for _, why := range []string{portFull, peerFull, neverUsed} {
			all.closed.WithLabelValues(port, why)
		}
	}
	return all
}

// port returns a listener for a port, with a limit on connections.
func (s *Server) port(name string, l net.Listener, room room) *listener {
	return &listener{
		Listener: l, room: room, log: s.config.Log.With("port", name), open: s.ports.open.WithLabelValues(name),
		closed: s.ports.closed.MustCurryWith(prometheus.Labels{"port": name}),
	}
}

// publicRoom returns the limit of each public port. Behind proxies, all connections come from the proxies, so only the
// total is limited.
func (s *Server) publicRoom() room {
	if s.config.Auth.TrustedHops > 0 {
		return room{all: s.config.MaxConnections}
	}
	return half(s.config.MaxConnections)
}

type fromKey struct{}

// withOrigin adds the client's address to the context of a connection's requests, for noted and patient.
func withOrigin(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, fromKey{}, c.RemoteAddr())
}

// noted records each request as a call of its connection.
func noted(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from, ok := r.Context().Value(fromKey{}).(net.Addr); ok {
			called(from)
		}
		handler.ServeHTTP(w, r)
	})
}

// lines limits the log lines about peers to one per peer and minute, and maxLines per minute.
type lines struct {
	since time.Time
	peers map[string]struct{} // The peers with a line since then.
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
