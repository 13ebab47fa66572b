package server

import (
	"net/http"

	"github.com/kootask/kootask/service/rpcserver"
)

// shortHeader refuses a request whose header is longer than [rpcserver.MaxHeader]. net/http accepts a longer one, because it ends the
// whole connection for a header beyond its own limit: other users' streams may share it behind a proxy.
func shortHeader(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if headerSize(r) > rpcserver.MaxHeader {
			http.Error(w, "The request's header is larger than 16 KiB.", http.StatusRequestHeaderFieldsTooLarge)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// headerSize is the size of a request's header, counted as in HTTP/2.
func headerSize(r *http.Request) int {
	return rpcserver.HeaderSize(r.Header) + len(r.Method) + len(r.Host) + len(r.RequestURI)
}
