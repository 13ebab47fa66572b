package dial_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/kootask/kootask/internal/dial"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conn is a connection to an address that counts itself while it is open.
type conn struct {
	net.Conn
	open *atomic.Int32
}

func (c conn) Close() error {
	c.open.Add(-1)
	return nil
}

// The fate of each address, by its last number; an address that is not listed is silent until it is given up.
func TestAddresses(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	for name, row := range map[string]struct {
		resolver  time.Duration
		addresses int
		accept    map[int]time.Duration
		refuse    bool // All that do not accept.
		took      time.Duration
		fails     bool
	}{
		"one":                        {0, 1, map[int]time.Duration{1: 0}, false, 0, false},
		"three silent ones of four":  {0, 4, map[int]time.Duration{4: 0}, false, 3 * dial.Stagger, false},
		"three refuse":               {0, 4, map[int]time.Duration{4: 0}, true, 0, false},
		"the first is slow":          {0, 2, map[int]time.Duration{1: time.Second, 2: 2 * time.Second}, false, time.Second, false},
		"both accept":                {0, 2, map[int]time.Duration{1: 300 * time.Millisecond, 2: 50 * time.Millisecond}, false, 300 * time.Millisecond, false},
		"the resolver takes long":    {5 * time.Second, 1, map[int]time.Duration{1: 4 * time.Second}, false, 9 * time.Second, false},
		"all are silent":             {0, 2, nil, false, dial.Timeout + dial.Stagger, true},
		"all refuse":                 {0, 3, nil, true, 0, true},
		"there is none":              {0, 0, nil, false, 0, true},
		"the resolver never answers": {time.Hour, 1, nil, false, 12 * time.Second, true},
		"more than the time allows":  {0, 100, nil, false, 12 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open atomic.Int32
				d := dial.Dialer{
					Lookup: func(ctx context.Context, _, host string) ([]netip.Addr, error) {
						if host != "koodrive.test" {
							t.Errorf("looked up %q", host)
						}
						if err := wait(ctx, row.resolver); err != nil {
							return nil, &net.DNSError{Err: err.Error(), Name: host, IsTimeout: true}
						}
						var all []netip.Addr
						for i := range row.addresses {
							all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}))
						}
						return all, nil
					},
					Connect: func(ctx context.Context, _, address string) (net.Conn, error) {
						at := netip.MustParseAddrPort(address)
						after, accepts := row.accept[int(at.Addr().As4()[3])]
						if row.refuse && !accepts {
							return nil, refused
						}
						if !accepts {
							after = time.Hour
						}
						if err := wait(ctx, after); err != nil {
							return nil, err
						}
						open.Add(1)
						return conn{open: &open}, nil
					},
				}
				ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
				defer cancel()
				start := time.Now()
				got, err := d.DialContext(ctx, "tcp", "koodrive.test:443")
				var known *net.OpError
				if (err != nil) != row.fails || row.fails && !errors.As(err, &known) && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v", err)
				}
				if took := time.Since(start); took != row.took {
					t.Errorf("took %v, want %v", took, row.took)
				}
				if err == nil {
					synctest.Wait()
					if open.Load() != 1 {
						t.Errorf("%d connections are open", open.Load())
					}
					_ = got.Close()
				}
			})
		})
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// The zero Dialer reaches a real port, by a name and by addresses.
func TestTheSystemsNetwork(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "::ffff:127.0.0.1"} {
		conn, err := dial.Dialer{}.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = conn.Close()
	}
	if _, err := (dial.Dialer{}).DialContext(t.Context(), "tcp", "no port"); err == nil {
		t.Error("an address without a port is accepted")
	}
}
