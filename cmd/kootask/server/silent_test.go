package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// One connection of a hundred never reads, while the task changes 200 times, each time by more than its window holds: the
// others get every state at the instant of its publication, and what is held for the silent one is bounded.
// When the changes come within the time that a send may take, it is there to the end; otherwise it is let go.
func TestSilentReaderDelaysNobody(t *testing.T) {
	const (
		flips  = 200
		name   = 8 << 10
		window = 64 << 10 // The client's, the smallest that gRPC has.
		queue  = 64 << 10 // What gRPC's server takes of a stream before it can send it.
	)
	for interval, reason := range map[time.Duration]string{100 * time.Millisecond: "", time.Second: "WATCHER_TOO_SLOW"} {
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
			if got := s.scrape(t)["kootask_sends"]; got != sends {
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
			// What fits, one that is being sent, and the last state.
			if most := (window+queue)/name + 2; read > most || (reason == "") != last.GetDone() {
				t.Errorf("%d messages were held for the silent one, and the last of them was %v", read, last.GetStatus())
			}
		})
	}
}

func TestSilentHTTPReaderIsCutOff(t *testing.T) {
	for _, accept := range []string{ndjson, sse} {
		bubble(t, nil, func(t *testing.T, s *system) {
			long := strings.Repeat("x", 8<<10)
			var script []koodrivetest.Step
			for i := range 100 {
				script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, long)})
			}
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: append(script, koodrivetest.Step{Status: 2})})
			resp, err := s.http.Do(request(t.Context(), t, "/v1/tasks/"+taskID+":watch", "Accept", accept))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got := names(t, s.watch(t.Context(), t, accept, taskID)); got[len(got)-1] != "end" {
				t.Errorf("the one who reads saw %q", got)
			}
			time.Sleep(time.Minute)
			if lines := strings.Count(s.log.String(), `"code":"Canceled"`); lines != 1 {
				t.Errorf("%d streams were cut off:\n%s", lines, s.log)
			}
		})
	}
}
