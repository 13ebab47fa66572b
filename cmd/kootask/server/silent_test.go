package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestSilentReaderDelaysNobody(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		const flips = 100
		long := strings.Repeat("x", 8<<10)
		var script []koodrivetest.Step
		for i := range flips {
			script = append(script, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, long)})
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: append(script, koodrivetest.Step{Status: 2})})
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		silent := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10)))
		if _, err := silent.WatchTask(as(ctx, token), &taskv1.WatchTaskRequest{TaskId: taskID}); err != nil {
			t.Fatal(err)
		}
		resp, err := s.http.Do(request(ctx, t, "/v1/tasks/"+taskID+":watch"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() // Never read.
		start := time.Now()
		everySurface(t, func(surface string) {
			events := s.watch(t.Context(), t, surface, taskID)
			if len(events) != flips+2 {
				t.Errorf("%s saw %d events", surface, len(events))
			}
			published := s.koodrive.Requests()
			for i, e := range events[:min(len(events), flips)] {
				if want := published[i].Ended.Sub(start); e.at != want {
					t.Fatalf("%s saw state %d at %v, it was published at %v", surface, i, e.at, want)
				}
			}
		})
	})
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
