package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newNotifySocket returns the path of a NOTIFY_SOCKET, and systemd's end of it.
func newNotifySocket(t *testing.T) (path string, conn *net.UnixConn) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return path, conn
}

// notifications reads messages until the end of the test. It returns the first line of each.
func notifications(conn *net.UnixConn) <-chan string {
	all := make(chan string, 10_000) // More than come while the test does not look.
	go func() {
		defer close(all)
		for text := make([]byte, 1000); ; {
			n, err := conn.Read(text)
			if err != nil {
				return
			}
			first, _, _ := strings.Cut(string(text[:n]), "\n")
			all <- first
		}
	}()
	return all
}

// serve reports each step of its life to systemd, and that it works.
func TestSystemdIsNotified(t *testing.T) {
	path, conn := newNotifySocket(t)
	messages := notifications(conn)
	p := start(t, []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=100000"},
		append([]string{"serve", "--upstream-allow-http", "--upstream-url=http://127.0.0.1:1", "--shutdown-grace=1h", "--shutdown-delay=15m"}, anyPorts...)...)
	step := func(want string) { // Signs of life may come between the others.
		t.Helper()
		for late := time.After(time.Minute); ; {
			select {
			case got := <-messages:
				if got == want {
					return
				}
				if got != "WATCHDOG=1" {
					t.Fatalf("%q, want %q", got, want)
				}
			case <-late:
				t.Fatalf("no %s:\n%s", want, &p.stderr)
			}
		}
	}
	step("READY=1")
	client, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.says(t, `"http":"([^"]+)"`))
	if err != nil {
		t.Fatalf("it is not ready: %v", err)
	}
	_ = client.Close()
	step("WATCHDOG=1")
	p.signal(t, syscall.SIGHUP)
	step("RELOADING=1")
	step("READY=1")
	p.signal(t, syscall.SIGTERM)
	step("STOPPING=1")
	step("WATCHDOG=1") // It still serves.
	p.signal(t, os.Interrupt)
	p.ends(t, time.Minute)
}

// A socket that nobody reads does not keep serve from ending.
func TestSystemdDoesNotRead(t *testing.T) {
	path, conn := newNotifySocket(t)
	raw, err := conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { // It is full when it takes no more.
		for err == nil {
			err = syscall.Sendto(int(fd), []byte("full"), syscall.MSG_DONTWAIT, &syscall.SockaddrUnix{Name: path})
		}
	}); err != nil {
		t.Fatal(err)
	}
	p := start(t, []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=100000"},
		append([]string{"serve", "--upstream-url=https://koodrive.test"}, anyPorts...)...)
	p.says(t, "systemd was not notified")
	p.signal(t, os.Interrupt)
	if state := p.ends(t, time.Minute); !state.Success() {
		t.Errorf("it ended with %v:\n%s", state, &p.stderr)
	}
}

// kootask demo and kootask simulate may run below a unit of another program, for which they must not speak.
func TestOnlyServeNotifiesSystemd(t *testing.T) {
	path, conn := newNotifySocket(t)
	for _, args := range [][]string{append([]string{"demo"}, anyPorts...), {"simulate", "--addr=127.0.0.1:0"}} {
		p := start(t, []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=100000"}, args...)
		p.says(t, "Tokens: ")
		p.signal(t, os.Interrupt)
		p.ends(t, time.Minute)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	if code, _, stderr := ask(t, "serve", "--check", "--upstream-url=https://koodrive.test"); code != exitOK {
		t.Error(stderr)
	}
	if _, err := conn.WriteTo([]byte("the end"), &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	if got := <-notifications(conn); got != "the end" {
		t.Errorf("%q", got)
	}
}
