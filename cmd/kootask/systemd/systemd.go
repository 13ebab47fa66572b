// Package systemd reports the state of the process to systemd, as sd_notify(3) describes. It does nothing unless systemd
// has set NOTIFY_SOCKET, which it does for a unit with Type=notify. It decides neither when the service is ready nor
// whether it works.
//
//	manager := systemd.New(log)
//	manager.Ready()
//	stop := manager.Watch(probe)
//	defer stop()
//	…
//	manager.Stopping(30 * time.Second)
package systemd

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifySocket is the variable with the path of systemd's socket.
const notifySocket = "NOTIFY_SOCKET"

// SendTimeout limits the time in which a message is sent. systemd's socket is full while systemd does not read it.
const SendTimeout = time.Second

// Manager is the systemd that started the process. It is safe for concurrent use. A message that cannot be sent within
// SendTimeout is logged and dropped.
type Manager struct {
	log *slog.Logger

	mu       sync.Mutex // Orders the messages about the state.
	stopping bool       // Guarded by mu.
}

// New returns the Manager of this process.
func New(log *slog.Logger) *Manager { return &Manager{log: log} }

// Ready reports that the service has started.
func (m *Manager) Ready() { m.state(daemon.SdNotifyReady) }

// Reloading reports that a reload begins, or that it is over.
func (m *Manager) Reloading(begins bool) {
	if !begins {
		m.Ready()
		return
	}
	// Type=notify-reload, of systemd 253, needs the time to tell this reload from an earlier one.
	m.state(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping reports that the service stops, and for how long systemd must let it, even if the unit's TimeoutStopSec is
// shorter. Later calls of Ready and Reloading do nothing.
func (m *Manager) Stopping(within time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping = true
	m.send(fmt.Sprintf("%s\nEXTEND_TIMEOUT_USEC=%d", daemon.SdNotifyStopping, within.Microseconds()))
}

// Watch sends two signs of life per WATCHDOG_USEC, each after probe has returned. A probe that blocks for that long makes
// systemd restart the service. Without WATCHDOG_USEC, probe is not called. stop ends the signs and waits for the probe.
func (m *Manager) Watch(probe func()) (stop func()) {
	timeout, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		m.log.Warn("the watchdog is off", slog.String("error", err.Error()))
	}
	if timeout <= 0 || os.Getenv(notifySocket) == "" {
		return func() {}
	}
	stopping, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(timeout / 2)
		defer ticker.Stop()
		for {
			select {
			case <-stopping:
				return
			case <-ticker.C:
				probe()
				m.send(daemon.SdNotifyWatchdog)
			}
		}
	}()
	return func() {
		close(stopping)
		<-stopped
	}
}

// state reports a state, unless the service stops.
func (m *Manager) state(message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.stopping {
		m.send(message)
	}
}

func (m *Manager) send(message string) {
	if err := send(message); err != nil {
		m.log.Warn("systemd was not notified", slog.String("error", err.Error()))
	}
}

// send is daemon.SdNotify with a time limit: a stop must not wait for a socket that nobody reads.
func send(message string) error {
	socket := os.Getenv(notifySocket)
	if socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(SendTimeout)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}
