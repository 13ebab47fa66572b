package main

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

// A command probes its peer once, however many tasks fail, and the client that it uses does not probe.
func TestCommandsProbeOnce(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var probes atomic.Int32
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			first := make([]byte, 1)
			if _, _ = conn.Read(first); first[0] == 22 { // A TLS handshake: gRPC's own connections are plaintext.
				probes.Add(1)
			}
			_ = conn.Close()
		}
	}()
	for _, command := range []string{"get", "watch", "wait"} {
		probes.Store(0)
		code, stdout, stderr := ask(t, command, "7", "8", "9", "--addr="+listener.Addr().String())
		if got := probes.Load(); code != exitError || got != 1 || !strings.Contains(stdout+stderr, "does not answer as kootask does: ") {
			t.Errorf("%s: exit %d, %d probes:\n%s%s", command, code, got, stdout, stderr)
		}
	}
}
