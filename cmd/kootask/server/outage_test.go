package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// KooDrive fails for seven minutes, two more than watches survive without an answer. Meanwhile clients reconnect as the
// errors say, and calls go on. The rate of requests stays under the ceiling and falls. After the recovery, it is at most
// twice the earlier rate in any minute.
func TestOutage(t *testing.T) {
	const begins, ends, over = 60, 8 * 60, 10 * 60 // In seconds.
	for name, load := range map[string]struct {
		callers, tasks int // Tasks of each caller.
		every          time.Duration
	}{
		"more than the ceiling": {20, 50, 50 * time.Millisecond},
		"less than the ceiling": {10, 10, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			silent := func(c *server.Config) {
				c.Log = slog.New(slog.DiscardHandler)  // It would be hundreds of megabytes.
				c.Service.Heartbeat = 15 * time.Second // They are not needed.
				defaultPeers(c)
			}
			bubble(t, silent, func(t *testing.T, s *system) {
				var limited atomic.Int32
				ctx, leave := context.WithTimeout(t.Context(), over*time.Second)
				defer leave()
				var all sync.WaitGroup
				for i := range load.callers {
					credential := fmt.Sprint("caller-", i)
					s.koodrive.AddToken(credential, 0)
					for j := range load.tasks {
						id := fmt.Sprintf("t-%d-%d", i, j)
						s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: steps(1)})
						all.Go(func() { s.comeBack(ctx, credential, id) })
					}
				}
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
				all.Go(func() {
					for ctx.Err() == nil {
						go func() {
							_, err := s.tasks.GetTask(as(ctx, token), &taskv1.GetTaskRequest{TaskId: taskID, MaxAge: noAge})
							if name, _ := reason.Read(status.Convert(err)); name == "CALLER_LIMIT_REACHED" {
								limited.Add(1)
							}
						}()
						time.Sleep(load.every)
					}
				})
				var seconds []int // Requests to KooDrive in each.
				for second := range over {
					switch second {
					case begins:
						limited.Store(0) // At first the watches use up the limit of their address.
						s.koodrive.SetFault(koodrivetest.Answer(503, ""))
					case ends:
						s.koodrive.SetFault(nil)
					}
					before := s.koodrive.Count()
					time.Sleep(time.Second)
					seconds = append(seconds, s.koodrive.Count()-before)
				}
				all.Wait()
				if most := slices.Max(seconds); most > upstream.DefaultPerSecond+upstream.DefaultPerSecond/10+1 {
					t.Errorf("%d requests in a second", most)
				}
				if n := limited.Load(); n > 0 {
					t.Errorf("%d calls for one task were refused as new ones in the outage", n)
				}
				steady := mean(seconds[begins/2 : begins])
				minutes := []float64{steady}
				for second := begins; second < len(seconds); second += 60 {
					minutes = append(minutes, mean(seconds[second:second+60]))
				}
				t.Logf("requests a second, minute by minute: %.2f", minutes)
				for i, rate := range minutes[begins/60+1 : ends/60] {
					if rate > steady/10 {
						t.Errorf("minute %d of the outage has %.2f requests a second", i+1, rate)
					}
				}
				for second := ends; second <= len(seconds)-60; second++ {
					if rate := mean(seconds[second : second+60]); rate > 2*steady {
						t.Errorf("%.2f requests a second in a minute of the recovery, %.2f before", rate, steady)
					}
				}
			})
		})
	}
}

func mean(all []int) float64 {
	sum := 0
	for _, n := range all {
		sum += n
	}
	return float64(sum) / float64(len(all))
}

// comeBack watches a task until ctx ends. After each end it reconnects when the error says.
func (s *system) comeBack(ctx context.Context, credential, id string) {
	for ctx.Err() == nil {
		stream, err := s.tasks.WatchTask(as(ctx, credential), &taskv1.WatchTaskRequest{TaskId: id})
		for err == nil {
			_, err = stream.Recv()
		}
		_, retry := reason.Read(status.Convert(err))
		if retry == nil {
			return
		}
		select {
		case <-time.After(*retry):
		case <-ctx.Done():
		}
	}
}
