// Package loopback distinguishes hosts that are this machine from others. It does not resolve names: a resolver may be
// wrong or slow.
//
//	if scheme == "http" && !loopback.Host(u.Hostname()) {
//		return errors.New("http is allowed on a loopback host only")
//	}
package loopback

import (
	"net/netip"
	"strings"
)

// Host reports whether host is localhost, in any case, or a loopback address, also in IPv4-mapped form or with a zone.
// host must have no port and no brackets, as from net.SplitHostPort or url.URL.Hostname. An empty host, which listeners
// take for all addresses, is not loopback.
func Host(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}
