//go:build linux

package systemd_test

import (
	"bytes"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/cmd/kootask/systemd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// socket is systemd's end of NOTIFY_SOCKET.
type socket struct{ *net.UnixConn }

func listen(t *testing.T) socket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return socket{conn}
}

// received returns the messages that have come since the last call. It does not wait, so that it can be called in a bubble.
func (s socket) received(t *testing.T) (all []string) {
	t.Helper()
	raw, err := s.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		for text := make([]byte, 1000); ; {
			n, _, err := syscall.Recvfrom(int(fd), text, syscall.MSG_DONTWAIT)
			if err != nil {
				return
			}
			all = append(all, string(text[:n]))
		}
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// Nothing but signs of life follows the beginning of a stop.
func TestStates(t *testing.T) {
	s, m := listen(t), systemd.New(slog.New(slog.DiscardHandler))
	m.Ready()
	m.Reloading(true)
	m.Reloading(false)
	m.Stopping(21 * time.Second)
	m.Reloading(true)
	m.Ready()
	got := s.received(t)
	if len(got) != 4 || got[0] != "READY=1" || got[2] != "READY=1" || got[3] != "STOPPING=1\nEXTEND_TIMEOUT_USEC=21000000" {
		t.Fatalf("%q", got)
	}
	usec, ok := strings.CutPrefix(got[1], "RELOADING=1\nMONOTONIC_USEC=")
	if n, err := strconv.Atoi(strings.TrimSuffix(usec, "\n")); !ok || err != nil || n <= 0 {
		t.Errorf("%q", got[1])
	}
}

// A service that does not answer the probe gives no sign of life.
func TestWatch(t *testing.T) {
	s := listen(t)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", "") // A supervised process would pass its own on.
	synctest.Test(t, func(t *testing.T) {
		works := make(chan struct{}, 1)
		stop := systemd.New(slog.New(slog.DiscardHandler)).Watch(func() { <-works; works <- struct{}{} })
		for _, step := range []struct {
			works bool
			want  int
		}{{true, 2}, {false, 0}, {true, 2}} {
			if step.works {
				works <- struct{}{}
			}
			synctest.Wait()
			s.received(t) // The signs that the blocked probe held up.
			time.Sleep(30*time.Second + 1)
			synctest.Wait()
			if got := s.received(t); len(got) != step.want || slices.ContainsFunc(got, func(m string) bool { return m != "WATCHDOG=1" }) {
				t.Errorf("while it works is %v: %q, want %d signs", step.works, got, step.want)
			}
			if step.works {
				<-works
			}
		}
		works <- struct{}{}
		stop()
		s.received(t)
		time.Sleep(time.Minute)
		if got := s.received(t); got != nil {
			t.Errorf("after the end: %q", got)
		}
	})
}

// Without systemd nothing is sent, probed or logged.
func TestWithoutSystemd(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "30000000")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := systemd.New(slog.New(slog.NewTextHandler(&log, nil)))
		stop := m.Watch(func() { t.Error("it was probed") })
		m.Ready()
		m.Reloading(true)
		m.Stopping(time.Second)
		time.Sleep(time.Minute)
		stop()
		if log.Len() > 0 {
			t.Error(log.String())
		}
	})
}

// Invalid variables are logged, and the service continues.
func TestInvalidVariables(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "missing"))
	t.Setenv("WATCHDOG_USEC", "soon")
	var log bytes.Buffer
	m := systemd.New(slog.New(slog.NewTextHandler(&log, nil)))
	m.Ready()
	m.Watch(func() { t.Error("it was probed") })()
	if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "systemd was not notified") || !strings.Contains(got, "WATCHDOG_USEC") {
		t.Error(got)
	}
}
