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

// crossOrigin lets pages of the given origins, and with local also of this machine's, read the answers of a handler. Browsers
// do not add credentials to such requests; the page must have its own.
func crossOrigin(origins []string, local bool, handler http.Handler) http.Handler {
	if len(origins) == 0 && !local {
		return handler
	}
	return cors.New(cors.Options{
		// AllowedOrigins would ignore case and accept patterns.
		AllowOriginFunc: func(origin string) bool { return slices.Contains(origins, origin) || local && isLocalOrigin(origin) },
		AllowedMethods:  []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{
			caller.HeaderAuthorization, caller.HeaderCallerToken, caller.HeaderUserID, caller.HeaderDate, caller.HeaderLanguage,
			caller.HeaderRequestID, caller.HeaderTraceParent, "tracestate", "accept", "cache-control", "grpc-timeout",
			"last-event-id",
		},
		ExposedHeaders: []string{caller.HeaderRequestID, "retry-after"},
		MaxAge:         600,
	}).Handler(handler)
}

// isLocalOrigin reports whether a page of an origin was loaded from this machine.
func isLocalOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && CheckOrigin(origin) == nil && loopback.Host(u.Hostname())
}

// IsLocal reports whether a request's Host is localhost or a loopback address, with or without a port. Browsers send
// the host of the page's URL, which exposes a page whose name was made to resolve here.
func IsLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return loopback.Host(strings.Trim(host, "[]"))
}

// CheckOrigin fails unless origin is a web origin as browsers write it: scheme and host in lower case, and no default
// port.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host ||
		u.Port() == map[string]string{"https": "443", "http": "80"}[u.Scheme] || strings.HasPrefix(u.Port(), "0") ||
		strings.HasSuffix(u.Host, ":") || !originForm(origin) {
		return errors.New("must be an origin like https://tasks.example")
	}
	return nil
}

// originForm reports whether origin has only characters that browsers leave as they are and that are not part of a
// pattern.
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
