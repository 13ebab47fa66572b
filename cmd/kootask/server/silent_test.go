package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// One connection of a hundred never reads, while the task changes 100 times, each time by more than its window holds. The others
// get every state at once, and the memory for the silent one is bounded. It survives if all changes come within the time of one
// send; otherwise it is disconnected.
func TestSilentReaderDelaysNobody(t *testing.T) {
	t.Parallel()
	const (
		flips  = 100
		name   = 4 << 10
		window = 64 << 10 // The client's, the smallest that gRPC has.
		queue  = 64 << 10 // gRPC's server buffers so much of a stream before it can send it.
	)
	for interval, reason := range map[time.Duration]string{100 * time.Millisecond: "", time.Second: "WATCHER_TOO_SLOW"} {
		t.Run(interval.String(), func(t *testing.T) {
			fast := func(c *server.Config) { c.Service.PollMin, c.Upstream.PerSecond = interval, 1000 }
			bubble(t, fast, func(t *testing.T, s *system) {
				var script []koodrivetest.Step
				for i := range flips {
					script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, strings.Repeat("x", name))})
				}
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: append(script, koodrivetest.Step{Status: 2})})
				ctx, leave := context.WithCancel(t.Context())
				defer leave()
				silent, err := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window))).
					WatchTask(as(ctx, token), &taskv1.WatchTaskRequest{TaskId: taskID})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				var all sync.WaitGroup
				for i := range 99 {
					watcher := &system{tasks: taskv1.NewTaskServiceClient(s.dial(t)), http: httpClient(s.httpPort)}
					all.Go(func() {
						defer watcher.http.CloseIdleConnections()
						events := watcher.watch(ctx, t, surfaces[i%3], taskID)
						if len(events) != flips+2 {
							t.Errorf("%s saw %d events", surfaces[i%3], len(events))
						}
						published := s.koodrive.Requests()
						for n, e := range events[:min(len(events), flips+1)] {
							if want := published[n].Ended.Sub(start); e.at != want {
								t.Errorf("%s saw state %d at %v, it was published at %v", surfaces[i%3], n, e.at, want)
								return
							}
						}
					})
				}
				all.Wait()
				sends := 1.0
				if reason != "" {
					sends = 0
				}
				if got := s.scrape(t)["kootask_sends_stuck"]; got != sends {
					t.Errorf("%v messages are being sent", got)
				}
				read, last := 0, (*taskv1.Task)(nil)
				for {
					m, err := silent.Recv()
					if err != nil {
						if end := errors.Is(err, io.EOF); end != (reason == "") || !end && verdictOf(t, event{err: err}).reason != reason {
							t.Errorf("the silent one ended with %v", err)
						}
						break
					}
					read, last = read+1, m.GetTask()
				}
				// The window, one message that is being sent, and the last state.
				if most := (window+queue)/name + 2; read > most || (reason == "") != last.GetDone() {
					t.Errorf("%d messages were buffered for the silent one, the last of them %v", read, last.GetStatus())
				}
			})
		})
	}
}

// An HTTP client that never reads is disconnected after 30 s, with little memory used meanwhile. Others, on its own
// connection too, see each state at once.
func TestSilentHTTPReaderIsCutOff(t *testing.T) {
	t.Parallel()
	const flips, window = 100, 64 << 10
	long := strings.Repeat("x", 8<<10)
	var script []koodrivetest.Step
	for i := range flips {
		script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, long)})
	}
	script = append(script, koodrivetest.Step{Status: 2})
	for _, accept := range []string{ndjson, sse} {
		for _, http2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, HTTP/2: %v", accept, http2), func(t *testing.T) {
				bubble(t, func(c *server.Config) { c.Service.PollMin = 100 * time.Millisecond }, func(t *testing.T, s *system) {
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: script})
					if http2 {
						h2c(s.http).HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: window} // Go's default is 4 MiB.
					}
					resp, err := s.http.Do(request(t.Context(), t, "/v1/tasks/"+taskID+":watch", "Accept", accept))
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					start := time.Now()
					everySurface(t, func(surface string) {
						events := s.watch(t.Context(), t, surface, taskID)
						if len(events) != flips+2 {
							t.Errorf("on %s others saw %d events", surface, len(events))
						}
						published := s.koodrive.Requests()
						for i, e := range events[:min(len(events), flips)] {
							if want := published[i].Ended.Sub(start); e.at != want {
								t.Fatalf("on %s others saw state %d at %v, it was published at %v", surface, i, e.at, want)
							}
						}
					})
					for !strings.Contains(s.log.String(), `"outcome":"WATCHER_TOO_SLOW"`) && time.Since(start) < time.Minute {
						time.Sleep(100 * time.Millisecond)
					}
					if got := s.scrape(t)[`kootask_watch_ends_total{reason="WATCHER_TOO_SLOW"}`]; got != 1 || strings.Count(s.log.String(), `"outcome":"WATCHER_TOO_SLOW"`) != 1 {
						t.Errorf("%v streams were cut:\n%s", got, s.log)
					}
					// It has not read the first message, or, over HTTP/2, the first message that does not fit into its window.
					if after := time.Since(start); after < 30*time.Second || after > 32*time.Second {
						t.Errorf("cut off after %v", after)
					}
					if kept, err := io.Copy(io.Discard, resp.Body); kept > window || err == nil {
						t.Errorf("it can still read %d bytes, and then %v", kept, err)
					}
				})
			})
		}
	}
}

// A stop does not wait for an HTTP client that does not read: its message is cut when the time for the stop is over.
func TestStopCutsSilentHTTPReaders(t *testing.T) {
	t.Parallel()
	const grace = 10 * time.Second
	var script []koodrivetest.Step
	for i := range 100 {
		script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, strings.Repeat("x", 8<<10))})
	}
	script = append(script, koodrivetest.Step{Status: 1})
	bubble(t, func(c *server.Config) {
		c.Service.PollMin, c.Grace = 100*time.Millisecond, grace
	}, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: script})
		resp, err := s.http.Do(request(t.Context(), t, "/v1/tasks/"+taskID+":watch", "Accept", ndjson))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		time.Sleep(20 * time.Second)
		if got := s.scrape(t)["kootask_sends_stuck"]; got != 1 {
			t.Errorf("%v messages are stuck", got)
		}
		start := time.Now()
		s.stop()
		<-s.stopped
		if took := time.Since(start); took > grace+time.Second {
			t.Errorf("stopped after %v", took)
		}
		s.stopped <- nil
	})
}
