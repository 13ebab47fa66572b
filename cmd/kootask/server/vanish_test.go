package server_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// mortal is a client's end of a connection. After its machine has gone, data in both directions is lost, and nothing closes.
type mortal struct {
	net.Conn
	gone *atomic.Bool
}

func (m mortal) Read(b []byte) (int, error) {
	for {
		if n, err := m.Conn.Read(b); err != nil || !m.gone.Load() {
			return n, err
		}
	}
}

func (m mortal) Write(b []byte) (int, error) {
	if m.gone.Load() {
		return len(b), nil
	}
	return m.Conn.Write(b)
}

// The watch of a vanished client ends within 90 s where the server can ping; HTTP/1.1 has only the kernel's limit.
func TestVanishedClients(t *testing.T) {
	for _, surface := range surfaces {
		t.Run(surface, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
				var gone atomic.Bool
				dialer := func(l *koodrivetest.Listener) func(context.Context, string, string) (net.Conn, error) {
					return func(ctx context.Context, network, address string) (net.Conn, error) {
						conn, err := l.Dial(ctx, network, address)
						return mortal{conn, &gone}, err
					}
				}
				overGRPC, overHTTP := dialer(s.grpcPort), dialer(s.httpPort)
				s.tasks = taskv1.NewTaskServiceClient(s.dial(t, grpc.WithContextDialer(
					func(ctx context.Context, address string) (net.Conn, error) { return overGRPC(ctx, "", address) })))
				h2c(s.http).DialContext = overHTTP
				var watch sync.WaitGroup
				watch.Go(func() { s.follow(t.Context(), t, surface, taskID, func(event) {}) })
				time.Sleep(4*time.Minute + time.Second) // Until then pings are answered: the last one just now.
				if log := s.calls(); log != "" {
					t.Errorf("before it vanishes:\n%s", log)
				}
				gone.Store(true)
				time.Sleep(90 * time.Second)
				if log := s.calls(); strings.Count(log, `"outcome":"CALLER_CANCELLED"`) != 1 {
					t.Errorf("the log is %q", log)
				}
				asked := s.koodrive.Count()
				if time.Sleep(time.Minute); s.koodrive.Count() != asked {
					t.Error("KooDrive is still polled")
				}
				watch.Wait()
			})
		})
	}
}

// The call of a vanished client ends at the call's own limits, and its request to KooDrive with it.
func TestCallOfAVanishedClientEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Fault: &koodrivetest.Fault{Hang: true}}}})
		var gone atomic.Bool
		tasks := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			conn, err := s.grpcPort.Dial(ctx, "", "")
			return mortal{conn, &gone}, err
		})))
		ctx, leave := context.WithCancel(as(t.Context(), token))
		var call sync.WaitGroup
		call.Go(func() { _, _ = tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: taskID}) })
		time.Sleep(time.Second)
		gone.Store(true)
		time.Sleep(service.GetTimeout)
		if log := s.calls(); strings.Count(log, `"outcome":"UPSTREAM_TIMEOUT"`) != 1 {
			t.Errorf("after %v the log is %q", service.GetTimeout, log)
		}
		if got := s.scrape(t)["kootask_upstream_requests_in_flight"]; got != 0 {
			t.Errorf("%v requests are in flight", got)
		}
		leave()
		call.Wait()
	})
}
