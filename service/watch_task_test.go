package service

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// recorded is a stream that keeps what is sent.
type recorded struct {
	grpc.ServerStreamingServer[taskv1.WatchTaskResponse]
	sent []*taskv1.WatchTaskResponse
}

func (r *recorded) Context() context.Context { return context.Background() }

func (r *recorded) Send(m *taskv1.WatchTaskResponse) error {
	r.sent = append(r.sent, m)
	return nil
}

// A client that did not read for a while may miss a state that is doubted since. A heartbeat then has the time of the state that the
// client has seen, not of the other one.
func TestHeartbeatsConfirmWhatWasShown(t *testing.T) {
	at := func(second int64, revision uint64) watch.State[upstream.Task] {
		return watch.State[upstream.Task]{
			Answer: watch.Answer[upstream.Task]{Value: upstream.Task{ID: "1"}, At: time.Unix(second, 0)}, Revision: revision,
		}
	}
	stream := &recorded{}
	w := &watcher{service: &Service{metrics: newMetrics(nil)}, stream: stream}
	for _, err := range []error{
		w.heartbeat(at(0, 0)), w.task(at(1, 1)), w.heartbeat(at(2, 1)), w.heartbeat(at(3, 2)), w.task(at(3, 2)), w.heartbeat(at(4, 2)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range map[int]int64{0: 0, 2: 2, 3: 2, 5: 4} {
		heartbeat := stream.sent[i].GetHeartbeat()
		if got := heartbeat.GetObserveTime().GetSeconds(); got != want || (heartbeat.GetObserveTime() != nil) != (want > 0) {
			t.Errorf("message %d confirms second %d, want %d", i, got, want)
		}
	}
}
