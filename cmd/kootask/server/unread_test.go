package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// sendQuota is how much gRPC's server buffers of a stream, beyond its client's window, before a send waits.
const sendQuota = 64 << 10

// Over gRPC a watch ends 30 s after 64 KiB wait for a client that does not read, however long that takes. gRPC's library sets the
// 64 KiB, and this test verifies it.
func TestUnreadBytesEndAWatchOverGRPC(t *testing.T) {
	t.Parallel()
	const window = 64 << 10 // The client's, the smallest that gRPC has.
	for _, size := range []int{1 << 10, 8 << 10} {
		t.Run(fmt.Sprintf("%d bytes", size), func(t *testing.T) {
			often := func(c *server.Config) { c.Service.PollMin, c.Upstream.PerSecond = time.Second, 1000 }
			bubble(t, often, func(t *testing.T, s *system) {
				var script []koodrivetest.Step
				for i := range 300 {
					script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprintf("%03d%s", i, strings.Repeat("x", size-3))})
				}
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: script})
				stream, err := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))).
					WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: taskID})
				if err != nil {
					t.Fatal(err)
				}
				for !strings.Contains(s.log.String(), `"msg":"call"`) {
					time.Sleep(time.Millisecond)
				}
				ended := time.Now()
				published := s.koodrive.Requests()
				messages, bytes, largest := 0, 0, 0
				for {
					m, err := stream.Recv()
					if err != nil {
						if v := verdictOf(t, event{err: err}); v.reason != "WATCHER_TOO_SLOW" {
							t.Errorf("it ended with %v", err)
						}
						break
					}
					frame := 5 + proto.Size(m)
					messages, bytes, largest = messages+1, bytes+frame, max(largest, frame)
				}
				if waited := ended.Sub(published[messages].Ended).Truncate(10 * time.Millisecond); waited != service.SendTimeout {
					t.Errorf("it ended %v after the first message that did not fit", waited)
				}
				if waiting := bytes - window; waiting < sendQuota || waiting >= sendQuota+largest {
					t.Errorf("it ended with %d bytes waiting", waiting)
				}
			})
		})
	}
}

// A watch with few messages never fills the buffer: it ends at its lifetime, although its client reads nothing.
func TestUnreadHeartbeatsEndWithTheWatch(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		if _, err := s.tasks.WatchTask(as(ctx, token), &taskv1.WatchTaskRequest{TaskId: taskID}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(float64(service.DefaultWatchLifetime) * (1 - service.LifetimeSpread)))
		if log := s.log.String(); strings.Contains(log, `"msg":"call"`) {
			t.Errorf("it has ended too early: %s", log)
		}
		time.Sleep(time.Duration(float64(service.DefaultWatchLifetime) * 2 * service.LifetimeSpread))
		if log := s.log.String(); !strings.Contains(log, `"outcome":"WATCH_LIFETIME_REACHED"`) {
			t.Errorf("it has not ended: %s", log)
		}
	})
}
