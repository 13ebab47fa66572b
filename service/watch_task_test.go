package service

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// recorded is a stream that keeps its messages.
type recorded struct {
	grpc.ServerStreamingServer[taskv1.WatchTaskResponse]
	sent []*taskv1.WatchTasksResponse
}

func (r *recorded) Context() context.Context { return context.Background() }

func (r *recorded) SendMsg(m any) error {
	r.sent = append(r.sent, m.(*message.Message).Message.(*taskv1.WatchTasksResponse))
	return nil
}

// A client that did not read for a while may miss a state that is doubted since. A heartbeat then has the time of the state
// that the client has seen, not of the other one.
func TestHeartbeatsConfirmTheShownState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		polls := 0
		poll := func(_ context.Context, _ bool, done func(watch.Answer[upstream.Task], error)) {
			polls++
			if polls == 4 {
				done(watch.Answer[upstream.Task]{}, errors.New("doubt"))
				return
			}
			task := upstream.Task{ID: "1", Status: upstream.StatusNew}
			if polls > 2 {
				task.Status = upstream.StatusExecuting
			}
			done(watch.Answer[upstream.Task]{Value: task, At: time.Now()}, nil)
		}
		hub := watch.NewHub[string](watch.Config[upstream.Task]{
			Min: time.Second, Max: time.Second, BackoffMax: time.Second, Rank: rank, Same: same, Final: done,
			Judge:  func(error) watch.Verdict { return watch.Verdict{Kind: "doubt", Tolerance: 2} },
			Random: func() float64 { return 0.5 },
		})
		defer hub.Close(errDraining)
		start, stream := time.Now(), &recorded{}
		sub := hub.Subscribe("1", poll, watch.NewSenders(SendTimeout).Join(nil))
		defer watch.Leave(sub)
		w := &taskWatcher{stream: stream}
		w.service, w.sub = &Service{metrics: newMetrics(nil)}, sub
		for i, step := range []struct {
			at        time.Duration // When the client looks, after the poll of that second.
			unseen    bool
			confirmed time.Duration
		}{
			{0, true, 0}, {time.Second, false, time.Second}, {3 * time.Second, false, time.Second}, {4 * time.Second, true, 4 * time.Second},
			{5 * time.Second, false, 5 * time.Second}, {6 * time.Second, false, 6 * time.Second},
		} {
			time.Sleep(time.Until(start.Add(step.at)))
			synctest.Wait()
			state, unseen := sub.Next()
			if unseen != step.unseen {
				t.Errorf("step %d: unseen %v, %+v", i, unseen, state)
			}
			var got time.Time
			if unseen {
				_ = w.task(state)
				got = stream.sent[i].GetTask().GetObserveTime().AsTime()
			} else {
				_ = w.heartbeat(state)
				got = stream.sent[i].GetHeartbeat().GetObserveTime().AsTime()
			}
			if !got.Equal(start.Add(step.confirmed)) {
				t.Errorf("step %d: confirmed after %v, want %v", i, got.Sub(start), step.confirmed)
			}
		}
	})
}

// Each message of WatchTask is one of WatchTasks.
func TestMessagesOfBothStreamsAreTheSame(t *testing.T) {
	one, many := (&taskv1.WatchTaskResponse{}).ProtoReflect().Descriptor(), (&taskv1.WatchTasksResponse{}).ProtoReflect().Descriptor()
	for i := range one.Fields().Len() {
		want := one.Fields().Get(i)
		got := many.Fields().ByNumber(want.Number())
		if got == nil || got.Name() != want.Name() || got.Message() != want.Message() || got.Cardinality() != want.Cardinality() {
			t.Errorf("%v is %v in WatchTasksResponse", want, got)
		}
	}
}

// Watches of two tasks share no message, even if their states are of the same age.
func TestTasksShareNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := watch.NewHub[string](watch.Config[upstream.Task]{
			Min: time.Second, Max: time.Second, Rank: rank, Same: same, Final: done,
		})
		defer hub.Close(errDraining)
		for _, id := range []string{"1", "2"} {
			poll := func(_ context.Context, _ bool, done func(watch.Answer[upstream.Task], error)) {
				done(watch.Answer[upstream.Task]{Value: upstream.Task{ID: id}, At: time.Now()}, nil)
			}
			stream := &recorded{}
			sub := hub.Subscribe(id, poll, watch.NewSenders(SendTimeout).Join(nil))
			w := &taskWatcher{stream: stream}
			w.service, w.sub = &Service{metrics: newMetrics(nil)}, sub
			defer watch.Leave(sub)
			synctest.Wait()
			state, _ := sub.Next()
			if _ = w.task(state); stream.sent[0].GetTask().GetTaskId() != id {
				t.Errorf("the watch of task %s was sent %v", id, stream.sent[0])
			}
		}
	})
}
