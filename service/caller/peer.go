package caller

import (
	"net/netip"
	"strings"
)

// Peer returns the host of a network address: the IPv4 address, or the network of an IPv6 address, since its customer
// can use all addresses in it. Loopback and link-local addresses stand for themselves, as does an address without an
// IP.
func Peer(address string) string {
	ip, err := netip.ParseAddrPort(address)
	if err != nil {
		return address
	}
	if ip.Addr().Is4() { // Written in one way only, so the text need not be made again.
		return address[:strings.LastIndexByte(address, ':')]
	}
	host := ip.Addr().Unmap()
	if host.Is4() || host.IsLoopback() || host.IsLinkLocalUnicast() {
		return host.String()
	}
	network, _ := host.Prefix(CustomerBits)
	return network.String()
}

// CustomerBits is the length of the network prefix that an IPv6 customer is assumed to have.
const CustomerBits = 56

// Forwarded returns the address of the client that a request comes from, given the address of the connection and the
// number of trusted proxies. Each proxy appends its client to X-Forwarded-For; entries further left can be forged. With
// fewer entries than proxies, the client is the connection.
//
// A proxy may append an address alone, with a port, or in brackets (IPv6). Zones are removed. For anything else, such
// as a name, quotes or the syntax of Forwarded, the client is the connection, so such clients share limits.
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
