package main

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// A connection to a public port ends if its client's machine does not answer for 45 s.
func TestVanishedClientsAreNotWaitedFor(t *testing.T) {
	var p problems
	l := serviceFlags{GRPCAddr: "127.0.0.1:0", HTTPAddr: "127.0.0.1:0"}.listen(&p)
	if err := p.err(); err != nil {
		t.Fatal(err)
	}
	for name, listener := range map[string]net.Listener{"gRPC": l.GRPC, "HTTP": l.HTTP} {
		t.Run(name, func(t *testing.T) {
			defer listener.Close()
			client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			accepted, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer accepted.Close()
			socket, err := accepted.(*net.TCPConn).SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var limit int
			_ = socket.Control(func(fd uintptr) { limit, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) })
			if err != nil || limit != 45_000 {
				t.Errorf("%d ms, %v", limit, err)
			}
		})
	}
}
