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

// adminHandler serves /healthz, /readyz, the metrics and, if the port is local to this machine, the profiles, which
// expose memory and are slow. An outage of KooDrive changes neither /healthz nor /readyz: it would take out all
// replicas at once.
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

// guarded protects the admin port from pages of other sites in the operator's browser. A local port answers only
// requests for a local Host: otherwise a page whose name resolves to this machine could read the answers. On other
// addresses Host is not checked, because Prometheus and the kubelet send the pod's IP. Requests that a browser marks as
// another site's are refused on any address.
func guarded(local bool, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		// The index of the profiles has inline styles.
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

// foreign reports whether a value of Sec-Fetch-Site means that another site's page made the request. The value is
// "none" for a typed address or a bookmark.
func foreign(site string) bool { return site != "none" && site != "same-origin" }

// onThisMachine reports whether an address can be reached only from this machine.
func onThisMachine(address net.Addr) bool {
	host, _, err := net.SplitHostPort(address.String())
	return err == nil && loopback.Host(host)
}
