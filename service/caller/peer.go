package caller

import (
	"net/netip"
	"strings"
)

// Peer names the host of a network address: its IP, and of an IPv6 one the network that a customer is given, all of whose
// addresses are a host's to use; on a link, where there is none, it is the address. What has no IP is its own name.
func Peer(address string) string {
	ip, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	host := ip.Addr().Unmap()
	if host.Is4() || host.IsLoopback() || host.IsLinkLocalUnicast() {
		return host.String()
	}
	network, _ := host.Prefix(CustomerBits)
	return network.String()
}

// CustomerBits is how much of an IPv6 address names the network of a customer.
const CustomerBits = 56

// Forwarded returns the address of whoever a request comes from, given the address of the connection and how many proxies it
// has passed through that are known to say whom they speak for: each appends that to X-Forwarded-For. What stands left of
// their words may be anybody's. Whoever did not come through all of them is the connection's.
//
// A proxy may append an address alone, with a port or, of IPv6, in brackets. Zones are left out. Anything else, such as a name,
// quotes or the syntax of Forwarded, is not an address: the client is then the connection's, so that such clients share limits.
func Forwarded(address string, hops int, values func(name string) []string) string {
	if hops == 0 {
		return address
	}
	named := strings.Split(strings.Join(values(HeaderForwardedFor), ","), ",")
	if len(named) < hops {
		return address
	}
	name := strings.TrimSpace(named[len(named)-hops])
	if strings.HasSuffix(name, "]") { // An IPv6 address in brackets, without a port.
		name += ":0"
	}
	if ip, err := netip.ParseAddr(name); err == nil {
		return netip.AddrPortFrom(ip.WithZone(""), 0).String()
	}
	if with, err := netip.ParseAddrPort(name); err == nil {
		return netip.AddrPortFrom(with.Addr().WithZone(""), with.Port()).String()
	}
	return address
}
