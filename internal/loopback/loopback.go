// Package loopback tells hosts that are this machine from all others. It resolves no names: a resolver may be wrong, and slow.
//
//	if scheme == "http" && !loopback.Host(u.Hostname()) {
//		return errors.New("http is allowed on a loopback host only")
//	}
package loopback

import (
	"net/netip"
	"strings"
)

// Host reports whether host is localhost, in any case, or a loopback address, also as IPv4 within IPv6 or with a zone. It has no port
// and no brackets, as net.SplitHostPort and url.URL.Hostname return it. The empty host, which listeners take as all addresses, is not.
func Host(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}
