//go:build !race

package caller_test

import (
	"net/http"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/service/caller"
)

// A caller is its secret, its fingerprint, and ids if it has sent none; on the wire of either port.
func TestAllocsOfCaller(t *testing.T) {
	const most = 3
	md, header := metadata.MD{}, http.Header{}
	for name, value := range map[string]string{"authorization": "Bearer 0123456789abcdef", "x-user-id": "42"} {
		md.Set(name, value)
		header.Set(name, value)
	}
	reader := caller.NewReader(caller.Forward, "")
	for name, values := range map[string]func(string) []string{"metadata": md.Get, "a header": caller.Values(header)} {
		if n := testing.AllocsPerRun(100, func() { _, _ = reader.Read(values) }); n > most {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// The text of an IPv4 address is a part of the address's.
func TestAllocsOfPeer(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _ = caller.Peer("192.0.2.1:4711") }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
