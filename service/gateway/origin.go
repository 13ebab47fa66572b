package gateway

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"github.com/kootask/kootask/internal/loopback"
	"github.com/kootask/kootask/service/caller"
)

// crossOrigin lets pages of some origins read the answers of a handler. Browsers send no credential of their own there: a page
// has to have one.
func crossOrigin(origins []string, handler http.Handler) http.Handler {
	if len(origins) == 0 {
		return handler
	}
	return cors.New(cors.Options{
		// Letter by letter: a list of origins the library takes in any case, and for patterns.
		AllowOriginFunc: func(origin string) bool { return slices.Contains(origins, origin) },
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{
			caller.HeaderAuthorization, caller.HeaderCallerToken, caller.HeaderUserID, caller.HeaderDate, caller.HeaderLanguage,
			caller.HeaderRequestID, caller.HeaderTraceParent, "tracestate", "accept", "cache-control", "grpc-timeout", "last-event-id",
		},
		ExposedHeaders: []string{caller.HeaderRequestID, "retry-after"},
		MaxAge:         600,
	}).Handler(handler)
}

// IsLocal reports whether a request's Host names this machine: localhost or a loopback address, with a port or without.
// Browsers send the name that a page was loaded by, so a page whose name was made to lead here is told apart.
func IsLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return loopback.Host(strings.Trim(host, "[]"))
}

// CheckOrigin reports whether a text is an origin as browsers write it: a scheme and a host in lower case, and a port that is not
// the scheme's own.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host ||
		u.Port() == map[string]string{"https": "443", "http": "80"}[u.Scheme] || strings.HasPrefix(u.Port(), "0") ||
		strings.HasSuffix(u.Host, ":") || !originForm(origin) {
		return errors.New("must be an origin like https://tasks.example")
	}
	return nil
}

// originForm reports whether there is nothing in a text that a browser would write in another way, or that is a pattern.
func originForm(origin string) bool {
	for _, c := range []byte(origin) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			continue
		}
		switch c {
		case ':', '/', '.', '-', '_', '[', ']':
		default:
			return false
		}
	}
	return true
}
