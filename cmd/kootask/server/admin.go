package server

import (
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kootask/kootask/internal/loopback"
	"github.com/kootask/kootask/service/gateway"
)

// adminHandler is what the operator sees: whether the process lives, whether it wants calls, its metrics and, if the port is
// local to this machine, its profiles: they show what is in memory, and take long. An outage of KooDrive changes neither
// of the first two: it would take every replica out at once.
func (s *Server) adminHandler(local bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics, promhttp.HandlerOpts{}))
	if local {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	}
	return guarded(local, mux)
}

// guarded keeps other sites' pages from using the operator's browser. A local port answers requests for a local Host only:
// otherwise a page whose name was made to lead here could read the answers. On other addresses Host is not checked, because
// Prometheus and the kubelet send the pod's IP. A request that a browser marks as another site's is refused on any address.
func guarded(local bool, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// The index of the profiles has its style in it.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		switch {
		case local && !gateway.IsLocal(r.Host):
			http.Error(w, "The Host must be localhost or a loopback address.", http.StatusForbidden)
			return
		case slices.ContainsFunc(r.Header.Values("Sec-Fetch-Site"), foreign):
			http.Error(w, "Requests from pages of other sites are refused.", http.StatusForbidden)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// foreign reports whether a Sec-Fetch-Site says that another site's page made the request. A user who types the address or
// opens a bookmark is "none".
func foreign(site string) bool { return site != "none" && site != "same-origin" }

// onThisMachine reports whether an address can be reached from here alone.
func onThisMachine(address net.Addr) bool {
	host, _, err := net.SplitHostPort(address.String())
	return err == nil && loopback.Host(host)
}
