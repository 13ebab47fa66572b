package server_test

import (
	"context"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// earliest and latest are the bounds of a connection's maximum age.
const (
	earliest = rpcserver.MaxConnectionAge * 9 / 10
	latest   = rpcserver.MaxConnectionAge * 11 / 10
)

// counted returns a client of the gRPC port that counts its connections. The client keeps no connection of its own open, not even
// an idle one.
func (s *system) counted(t *testing.T) (taskv1.TaskServiceClient, *atomic.Int32) {
	t.Helper()
	var dials atomic.Int32
	conn := s.dial(t, grpc.WithIdleTimeout(0), grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		dials.Add(1)
		return s.grpcPort.Dial(ctx, "", "")
	}))
	return taskv1.NewTaskServiceClient(conn), &dials
}

// A connection that has reached its maximum age takes no more calls; they go over another one. Every watch on it, even one that
// began in its last minute, ends by itself and with its own reason.
func TestOldConnections(t *testing.T) {
	t.Parallel()
	for name, lifetime := range map[string]time.Duration{"default": 0, "longest": 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			quiet := func(c *server.Config) {
				c.Service.WatchLifetime, c.Service.Heartbeat, c.Service.PollMax = lifetime, time.Hour, 2*time.Minute
			}
			bubble(t, quiet, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
				tasks, dials := s.counted(t)
				call := func() {
					if _, err := tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
						t.Errorf("a call: %v", err)
					}
				}
				call()
				time.Sleep(earliest - time.Minute)
				var all sync.WaitGroup
				for minute := range int((latest-earliest)/time.Minute) + 3 {
					for range 20 {
						all.Go(func() {
							stream, err := tasks.WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: taskID})
							for err == nil {
								_, err = stream.Recv()
							}
							if v := verdictOf(t, event{err: err}); v.reason != "WATCH_LIFETIME_REACHED" || v.retry == nil {
								t.Errorf("a watch that began in minute %d ended with %v", minute, err)
							}
						})
					}
					if n := dials.Load(); minute == 0 && n != 1 {
						t.Errorf("%d connections before the age", n)
					}
					time.Sleep(time.Minute)
				}
				if n := dials.Load(); n != 2 {
					t.Errorf("%d connections after the age", n)
				}
				all.Wait()
				call()
			})
		})
	}
}

// A connection past its maximum age that still has a watch does not delay a stop.
func TestStopWithAnOldConnection(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		tasks, dials := s.counted(t)
		time.Sleep(time.Minute)
		if _, err := tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(earliest - time.Minute)
		stream, err := tasks.WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: taskID})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(latest - earliest + 2*time.Minute)
		if _, err := tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err != nil || dials.Load() != 2 {
			t.Fatalf("%v over connection %d", err, dials.Load())
		}
		start := time.Now()
		s.stop()
		for err == nil {
			_, err = stream.Recv()
		}
		if v := verdictOf(t, event{err: err}); v.reason != "SERVER_DRAINING" {
			t.Errorf("the watch ended with %v", err)
		}
		if err := <-s.stopped; err != nil || time.Since(start) > server.DefaultGrace/2+time.Second {
			t.Errorf("stopped with %v after %v", err, time.Since(start))
		}
		s.stopped <- nil
	})
}

// An idle HTTP connection is kept longer than balancers keep theirs by default, 60 s, over both versions.
func TestIdleConnectionsOutliveThoseOfBalancers(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				if protocol == "HTTP/2.0" {
					h2c(s.http)
				}
				var dials atomic.Int32
				s.http.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					dials.Add(1)
					return s.httpPort.Dial(ctx, network, address)
				}
				for range 3 {
					if resp, _ := s.get(t, request(t.Context(), t, "/v1/tasks/"+exampleID)); resp.Proto != protocol {
						t.Error(resp.Proto)
					}
					time.Sleep(75 * time.Second)
				}
				if dials.Load() != 1 {
					t.Errorf("%d connections", dials.Load())
				}
			})
		})
	}
}
