package kootask_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	kootask "github.com/kootask/kootask/clients/go"
)

// silent is a peer that closes the connections of gRPC, and holds those of probes without an answer.
type silent struct {
	addr   string
	probes atomic.Int32
	probed chan struct{} // Gets a value for each probe.
}

func newSilent(t *testing.T) *silent {
	t.Helper()
	listener := listen(t)
	s := &silent{addr: listener.Addr().String(), probed: make(chan struct{}, 100)}
	done := make(chan struct{})
	var held []net.Conn
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			first := make([]byte, 1)
			if _, _ = conn.Read(first); first[0] != tlsHandshake {
				_ = conn.Close()
				continue
			}
			held = append(held, conn)
			s.probes.Add(1)
			s.probed <- struct{}{}
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		for _, conn := range held {
			_ = conn.Close()
		}
	})
	return s
}

// tlsHandshake is the first byte of a TLS handshake.
const tlsHandshake = 22

// client returns a client of an address, whose probes have a limit.
func client(t *testing.T, addr string, limit time.Duration) *kootask.Client {
	t.Helper()
	c, err := kootask.New(kootask.Config{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	c.LimitProbe(limit)
	return c
}

// Each call probes once, however many streams it has. The limit ends a probe of a peer that is silent, without a cause.
func TestCallProbesOnce(t *testing.T) {
	s := newSilent(t)
	calls := failures(t, client(t, s.addr, time.Millisecond))
	for call, failure := range calls {
		if failure.Code != codes.Unavailable || failure.Message != status.Convert(failure).Message() {
			t.Errorf("%s: %v", call, failure)
		}
	}
	if got := int(s.probes.Load()); got > len(calls) {
		t.Errorf("%d probes for %d calls", got, len(calls))
	}
}

// The end of the client or of the call's context ends its probe.
func TestProbeEndsWithItsCall(t *testing.T) {
	for name, end := range map[string]func(*kootask.Client, context.CancelFunc){
		"client":  func(c *kootask.Client, _ context.CancelFunc) { _ = c.Close() },
		"context": func(_ *kootask.Client, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSilent(t)
			c := client(t, s.addr, time.Hour)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				_, err := c.Get(ctx, "9")
				ended <- err
			}()
			<-s.probed
			end(c, cancel)
			if err := <-ended; status.Code(err) != codes.Unavailable || strings.HasPrefix(err.Error(), s.addr) {
				t.Error(err)
			}
		})
	}
}

// When the caller's own time is over, nothing is known about the address.
func TestProbeAfterTheDeadline(t *testing.T) {
	c := client(t, "127.0.0.1:"+closedPort(t), time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if cause := c.Probe(ctx); cause != "" {
		t.Error(cause)
	}
}

// Silence and the faults of this machine say nothing about an address.
func TestWhatNobodyMeans(t *testing.T) {
	failed := func(call string, err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError(call, err)}
	}
	for name, row := range map[string]struct {
		err  error
		want bool
	}{
		"refused":             {failed("connect", syscall.ECONNREFUSED), true},
		"no route":            {failed("connect", syscall.EHOSTUNREACH), true},
		"no network":          {failed("connect", syscall.ENETUNREACH), true},
		"no such host":        {&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}, true},
		"resolver fails":      {&net.OpError{Op: "dial", Err: &net.DNSError{IsTemporary: true}}, false},
		"too many open files": {failed("socket", syscall.EMFILE), false},
		"no free local port":  {failed("connect", syscall.EADDRNOTAVAIL), false},
		"kernel's timeout":    {failed("connect", syscall.ETIMEDOUT), false},
		"limit":               {&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, false},
		"none":                {nil, false},
	} {
		if got := kootask.IsNobody(row.err); got != row.want {
			t.Errorf("%s: %t, want %t", name, got, row.want)
		}
	}
}

// An address with a resolver of its own is not probed.
func TestOtherTargetsAreNotProbed(t *testing.T) {
	port := closedPort(t)
	for _, addr := range []string{
		"unix:" + t.TempDir() + "/k.sock", "unix:k.sock", "unix:///nowhere/k.sock", "xds:///kootask", "dns:///127.0.0.1:" + port,
		"dns:///127.0.0.1", "passthrough:///127.0.0.1:" + port, "127.0.0.1:tcpmux", "./nowhere:" + port,
	} {
		t.Run(addr, func(t *testing.T) { notProbed(t, addr) })
	}
}

// An address behind a proxy is not probed. The environment's proxy is read once, so the test runs in a process of its own.
func TestAddressBehindAProxyIsNotProbed(t *testing.T) {
	const proxy = "HTTPS_PROXY=http://127.0.0.1:1"
	if slices.Contains(os.Environ(), proxy) {
		notProbed(t, "0.0.0.0:"+closedPort(t)) // It is this machine, but not a loopback address, for which no proxy is used.
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), proxy, "NO_PROXY=none.test")
	if output, err := child.CombinedOutput(); err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, output)
	}
}

// closedPort returns a port of this machine at which nobody listens: that of a connection's own end.
func closedPort(t *testing.T) string {
	t.Helper()
	held, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listen(t).Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Close() })
	_, port, _ := net.SplitHostPort(held.LocalAddr().String())
	return port
}

// notProbed makes a call whose connection fails, and expects the library's message alone.
func notProbed(t *testing.T, addr string) {
	t.Helper()
	_, err := client(t, addr, time.Hour).Get(t.Context(), "9")
	var failure *kootask.Error
	if !errors.As(err, &failure) || failure.Code != codes.Unavailable || failure.Message != status.Convert(err).Message() {
		t.Error(err)
	}
}
