package service

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// recordedList is a stream of WatchTasks that keeps its messages.
type recordedList struct {
	grpc.ServerStreamingServer[taskv1.WatchTasksResponse]
	ctx  context.Context
	sent []string // The id of each task with its status, or with the reason with which it was dropped.
	// metrics are the service's.
	metrics *prometheus.Registry
	// during is called while a message is sent. Nil: it is not.
	during func()
}

func (r *recordedList) Context() context.Context { return r.ctx }

func (r *recordedList) SendMsg(m any) error {
	if r.during != nil {
		r.during()
	}
	switch event := m.(*message.Message).Message.(*taskv1.WatchTasksResponse); {
	case event.GetTask() != nil:
		r.sent = append(r.sent, event.GetTask().GetTaskId()+" "+strings.TrimPrefix(event.GetTask().GetStatus().String(), "TASK_STATUS_"))
	case event.GetDropped() != nil:
		r.sent = append(r.sent, event.GetDropped().GetTaskId()+" "+event.GetDropped().GetReason())
	default:
		r.sent = append(r.sent, "heartbeat")
	}
	return nil
}

// take returns what was sent since the last call, in order.
func (r *recordedList) take() []string {
	sent := r.sent
	r.sent = nil
	slices.Sort(sent)
	return sent
}

// steps takes the steps that have something to send now, and reports whether the watch has ended.
func (w *listWatcher) steps(t *testing.T, stream *recordedList) (ended bool, err error) {
	t.Helper()
	synctest.Wait()
	for {
		before := len(stream.sent)
		if _, ended, err := w.step(time.Since(w.since)); ended || len(stream.sent) == before {
			return ended, err
		}
	}
}

// bubbleList runs test with a watch of tasks that has begun, and whose steps the test takes.
func bubbleList(t *testing.T, tasks map[string][]koodrivetest.Step, test func(w *listWatcher, stream *recordedList, k *koodrivetest.KooDrive)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		koodrive, listener := koodrivetest.New(), koodrivetest.Listen()
		koodrive.AddToken("token", 0)
		server := &http.Server{Handler: koodrive}
		go func() { _ = server.Serve(listener) }()
		defer server.Close()
		client, err := upstream.NewClient(upstream.Config{BaseURL: "http://koodrive.test", AllowHTTP: true, Dial: listener.Dial})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		registry := prometheus.NewRegistry()
		s := New(Config{Upstream: client, PollMin: time.Second, PollMax: time.Second, Metrics: registry})
		defer s.Close()
		who, err := caller.NewReader(caller.Forward, "").Read(http.Header{"Authorization": {"Bearer token"}}.Values)
		if err != nil {
			t.Fatal(err)
		}
		stream := &recordedList{ctx: caller.NewContext(t.Context(), &who), metrics: registry}
		w := &listWatcher{stream: stream, silent: time.Hour}
		w.init(stream.ctx, s, w)
		for id, steps := range tasks {
			koodrive.SetTask(koodrivetest.Task{ID: id, Steps: steps})
		}
		if err := w.begin(slices.Sorted(maps.Keys(tasks))); err != nil { // KooDrive is asked for the first one alone.
			t.Fatal(err)
		}
		defer w.close(nil)
		test(w, stream, koodrive)
	})
}

// After a rejection no task is shown, unless KooDrive has answered any of them since.
func TestDoubtIsOfTheWholeList(t *testing.T) {
	changes := []koodrivetest.Step{
		{Status: 0, For: 1500 * time.Millisecond}, {Status: 1, For: 1500 * time.Millisecond}, {Fault: &koodrivetest.Fault{Hang: true}, For: time.Minute},
	}
	same := []koodrivetest.Step{{Status: 0, For: time.Minute}}
	bubbleList(t, map[string][]koodrivetest.Step{"changes": changes, "same": same}, func(w *listWatcher, stream *recordedList, k *koodrivetest.KooDrive) {
		for range 2 { // The first task, and the other one.
			if ended, err := w.steps(t, stream); ended {
				t.Fatal(err)
			}
		}
		if got := stream.take(); !slices.Equal(got, []string{"changes NEW", "same NEW"}) {
			t.Fatalf("at first, the watch sent %q", got)
		}
		time.Sleep(4500 * time.Millisecond) // One task has changed, and its poll hangs.
		k.SetTask(koodrivetest.Task{ID: "same", Steps: []koodrivetest.Step{{Fault: koodrivetest.Answer(http.StatusUnauthorized, "")}, {Status: 0}}})
		time.Sleep(1300 * time.Millisecond)
		if ended, err := w.steps(t, stream); ended || len(stream.take()) > 0 {
			t.Errorf("after a rejection, the watch sent something or ended: %t, %v", ended, err)
		}
		time.Sleep(5 * time.Second)
		ended, err := w.steps(t, stream)
		if got := stream.take(); ended || !slices.Equal(got, []string{"changes EXECUTING", "heartbeat"}) {
			t.Errorf("after an answer, the watch sent %q, or ended: %t, %v", got, ended, err)
		}
	})
}

// Doubt ends with the rejected task, though no other task can be answered any more: final states are not withheld.
func TestDoubtEndsWithTheRejectedTask(t *testing.T) {
	late := func(d time.Duration, status int) *koodrivetest.Fault {
		return &koodrivetest.Fault{Latency: d, Status: status}
	}
	rejected := []koodrivetest.Step{{Fault: late(6*time.Millisecond, http.StatusUnauthorized)}, {Fault: &koodrivetest.Fault{Status: http.StatusForbidden}}}
	slow, fast := []koodrivetest.Step{{Status: 2, Fault: late(5*time.Millisecond, 0)}}, []koodrivetest.Step{{Status: 2}}
	for _, tasks := range [][3][]koodrivetest.Step{ // If the fast one is the first, the rejection comes before the slow one was sent.
		{rejected, slow, fast}, {rejected, fast, slow}, {slow, rejected, fast}, {slow, fast, rejected}, {fast, rejected, slow}, {fast, slow, rejected},
	} {
		bubbleList(t, map[string][]koodrivetest.Step{"1": tasks[0], "2": tasks[1], "3": tasks[2]}, func(w *listWatcher, stream *recordedList, _ *koodrivetest.KooDrive) {
			var sent []string
			for i := range 100 {
				ended, err := w.steps(t, stream)
				sent = append(sent, stream.take()...)
				if finished := strings.Count(strings.Join(sent, ","), " SUCCESS"); ended && err == nil && finished != 2 {
					t.Errorf("the watch ended well, and sent %q", sent)
				}
				if ended {
					return
				}
				if time.Sleep(10 * time.Millisecond); i > 5 {
					time.Sleep(time.Second)
				}
			}
			t.Errorf("the watch goes on, and sent %q", sent)
		})
	}
}

// A call may end while its message is stuck. The message may leave nevertheless, and its task is then counted once.
func TestCallThatEndsWhileAMessageIsStuck(t *testing.T) {
	bubbleList(t, map[string][]koodrivetest.Step{"a": {{Status: 2, For: time.Hour}}}, func(w *listWatcher, stream *recordedList, _ *koodrivetest.KooDrive) {
		stream.during = func() { w.close(errDraining) }
		synctest.Wait()
		_, ended, _ := w.step(0)
		families, err := stream.metrics.Gather()
		if err != nil || !ended {
			t.Errorf("ended: %t, %v", ended, err)
		}
		for _, f := range families {
			if f.GetName() == "kootask_watchers" && f.GetMetric()[0].GetGauge().GetValue() != 0 {
				t.Errorf("%v watchers", f.GetMetric()[0].GetGauge().GetValue())
			}
		}
		stream.during, w.tasks = nil, nil // The fixture closes the watch as well.
	})
}

// A poll that panics drops its task.
func TestPanicDropsATask(t *testing.T) {
	hour := time.Hour
	bubbleList(t, map[string][]koodrivetest.Step{"a": {{Status: 1, For: hour}}}, func(w *listWatcher, stream *recordedList, _ *koodrivetest.KooDrive) {
		hub := watch.NewHub[upstream.Key](watch.Config[upstream.Task]{
			Min: time.Second, Max: time.Second, Rank: rank, Same: same, Final: done, Judge: w.service.judge,
		})
		defer hub.Close(errDraining)
		w.tasks[0].sub.Close()
		w.tasks[0].sub = hub.Subscribe(w.tasks[0].question.Key(), func(context.Context, bool, func(watch.Answer[upstream.Task], error)) {
			panic("a secret")
		}, w.sender)
		if ended, err := w.steps(t, stream); !ended || err != nil || !slices.Equal(stream.take(), []string{"a SERVER_ERROR"}) {
			t.Errorf("%t, %v", ended, err)
		}
	})
}

// Each outcome that can end the watch of a task ends it in a list too, or the whole list.
func TestEndsOfTasksInALists(t *testing.T) {
	ofTask := []string{
		"REQUEST_INVALID", "SERVER_ERROR", "TASK_NOT_FOUND", "UPSTREAM_BUSINESS_ERROR", "UPSTREAM_CONTRACT_VIOLATION",
		"UPSTREAM_PERMISSION_DENIED", "UPSTREAM_STALE",
	}
	for _, outcome := range reason.Outcomes() {
		name := (&reason.Error{Outcome: outcome}).Reason()
		if got, want := dropped[outcome.Reason], slices.Contains(ofTask, name); got != want {
			t.Errorf("%s drops a task: %t", name, got)
		}
	}
	for _, outcome := range reason.KooDriveOutcomes() { // What may end the watch of a task and is true of all.
		all := slices.Contains([]string{"CREDENTIAL_REJECTED", "SERVER_MISCONFIGURED"}, outcome.Reason.String())
		if limited := outcome.Tolerance() != reason.Unlimited; limited && dropped[outcome.Reason] == all {
			t.Errorf("%s drops a task: %t", outcome.Name, dropped[outcome.Reason])
		}
	}
}
