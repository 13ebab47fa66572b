package server_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// seen is what a client saw of a watch of several tasks.
type seen struct {
	of    map[string][]string // By task: its states, and the reason with which it was dropped.
	at    map[string]time.Duration
	beats []event
	end   event
	ids   []string // Of the events with an id.
	first time.Duration
}

// watchTasks watches a list on a surface until the stream ends.
func (s *system) watchTasks(ctx context.Context, t *testing.T, surface string, ids []string) seen {
	t.Helper()
	all := seen{of: map[string][]string{}, at: map[string]time.Duration{}, first: -1}
	s.followTasks(ctx, t, surface, ids, func(e event) {
		e = e.parsed(t)
		if all.first < 0 {
			all.first = e.at
		}
		if e.id != "" {
			all.ids = append(all.ids, e.name+" "+e.task.GetTaskId()+e.drop.GetTaskId())
		}
		switch e.name {
		case "task":
			id := e.task.GetTaskId()
			all.of[id] = append(all.of[id], strings.TrimPrefix(e.task.GetStatus().String(), "TASK_STATUS_"))
			all.at[id] = e.at
		case "dropped":
			id := e.drop.GetTaskId()
			all.of[id] = append(all.of[id], e.drop.GetReason())
			all.at[id] = e.at
		case "heartbeat":
			all.beats = append(all.beats, e)
		default:
			all.end = e
		}
	})
	return all
}

// fleet makes n unfinished tasks, and returns their ids.
func (s *system) fleet(n int, steps ...koodrivetest.Step) (ids []string) {
	if steps == nil {
		steps = []koodrivetest.Step{{Status: 1}}
	}
	for i := range n {
		ids = append(ids, fmt.Sprintf("task-%03d", i))
		s.koodrive.SetTask(koodrivetest.Task{ID: ids[i], Steps: steps})
	}
	return ids
}

// A list with every kind of task, and every failure of one task, has the same events on each surface: each task comes to its own
// end, and the stream to its end after the last one.
func TestListOfEveryKind(t *testing.T) {
	for _, surface := range surfaces {
		t.Run(surface, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				good := koodrivetest.Step{Status: 1}
				want := map[string][]string{}
				task := func(id string, states []string, steps ...koodrivetest.Step) {
					s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: steps})
					want[id] = states
				}
				task("runs", []string{"NEW", "EXECUTING", "SUCCESS"}, steps(0, 1, 2)...)
				task("fails", []string{"EXECUTING", "FAILED"}, steps(1, 3)...)
				task("is-finished", []string{"SUCCESS"}, steps(2)...)
				for name, row := range map[string]struct {
					fault  *koodrivetest.Fault
					reason string
				}{
					"no-such-task":  {code(400, "13000309"), "TASK_NOT_FOUND"},
					"no-permission": {body(403, ""), "UPSTREAM_PERMISSION_DENIED"},
					"no-parameter":  {code(400, "13000102"), "REQUEST_INVALID"},
					"no-contract":   {body(204, ""), "UPSTREAM_CONTRACT_VIOLATION"},
					"no-business":   {code(400, "13000301"), "UPSTREAM_BUSINESS_ERROR"},
				} {
					task(name, []string{row.reason}, koodrivetest.Step{Fault: row.fault})
					task("later-"+name, []string{"EXECUTING", row.reason}, good, koodrivetest.Step{Fault: row.fault})
				}
				got := s.watchTasks(t.Context(), t, surface, slices.Sorted(maps.Keys(want)))
				if fmt.Sprint(got.of) != fmt.Sprint(want) || got.end.name != "end" {
					t.Errorf("saw %v and %+v, want %v", got.of, got.end, want)
				}
				last := slices.MaxFunc(slices.Collect(maps.Keys(got.at)), func(a, b string) int { return int(got.at[a] - got.at[b]) })
				if surface == sse && (len(got.ids) != 1 || !strings.HasSuffix(got.ids[0], " "+last)) {
					t.Errorf("events with an id: %q, and the last one is that of %s", got.ids, last)
				}
			})
		})
	}
}

// A dropped task has the facts of the error with which WatchTask would have ended, in the caller's language.
func TestDroppedTask(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Fault: code(400, "13000309")}}})
		stream, err := s.tasks.WatchTasks(as(t.Context(), token, "language", "zh-CN"), &taskv1.WatchTasksRequest{TaskIds: []string{taskID}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := stream.Recv()
		alone := s.fail(t.Context(), t, "grpc watch", call{id: taskID, header: append([]string{"language", "zh-CN"}, bearer...)})
		d := m.GetDropped()
		if err != nil || d.GetTaskId() != taskID || codes.Code(d.GetCode()) != alone.code || d.GetReason() != alone.reason ||
			!maps.Equal(d.GetMetadata(), alone.metadata) || d.GetMessage() != "KooDrive has no such task." ||
			d.GetLocalizedMessage() == "" || d.GetRetryDelay() != nil {
			t.Errorf("%v, %v, and alone %+v", d, err, alone)
		}
	})
}

// One task hangs for ever, and 99 finish. Heartbeats name the first, until it is dropped with a delay. Then the stream ends with
// a delay, so that an event source comes back.
func TestListEndOfAStaleTask(t *testing.T) {
	for _, surface := range surfaces {
		bubble(t, nil, func(t *testing.T, s *system) {
			ids := s.fleet(100, koodrivetest.Step{Status: 1, For: 20 * time.Second}, koodrivetest.Step{Status: 2})
			s.koodrive.SetTask(koodrivetest.Task{ID: ids[7], Steps: []koodrivetest.Step{{Fault: &koodrivetest.Fault{Hang: true}}}})
			got := s.watchTasks(t.Context(), t, surface, ids)
			for _, id := range ids {
				want := []string{"EXECUTING", "SUCCESS"}
				if id == ids[7] {
					want = []string{"UPSTREAM_STALE"}
				}
				if !slices.Equal(got.of[id], want) {
					t.Errorf("%s: saw %q of %s", surface, got.of[id], id)
				}
				if id != ids[7] && got.at[id] > time.Minute {
					t.Errorf("%s: %s finished after %v", surface, id, got.at[id])
				}
			}
			named := 0
			for _, e := range got.beats {
				if slices.Equal(e.beat.GetFailingTaskIds(), ids[7:8]) && e.beat.GetFailureReason() == "UPSTREAM_TIMEOUT" && e.beat.GetFailureCount() > 0 {
					named++
				}
			}
			if v := verdictOf(t, got.end); got.end.name != "failure" || v.reason != "UPSTREAM_STALE" || v.retry == nil || named < 20 {
				t.Errorf("%s: ended with %+v, after %d heartbeats that name the task", surface, got.end, named)
			}
			if at := got.at[ids[7]]; at < service.DefaultStaleAfter || at > service.DefaultStaleAfter+time.Minute {
				t.Errorf("%s: dropped after %v", surface, at)
			}
		})
	}
}

// KooDrive is down from the start: the stream opens in time, heartbeats report it, and no task is dropped before its time.
func TestListEndOfAPassingFailure(t *testing.T) {
	for _, surface := range surfaces {
		bubble(t, nil, func(t *testing.T, s *system) {
			ids := s.fleet(20)
			s.koodrive.SetFault(koodrivetest.Answer(http.StatusBadGateway, ""))
			got := s.watchTasks(t.Context(), t, surface, ids)
			if got.first != service.FirstMessage || got.beats[0].at != service.FirstMessage {
				t.Errorf("%s: the first message came after %v", surface, got.first)
			}
			for i, e := range got.beats {
				if i > 0 && e.at-got.beats[i-1].at > service.DefaultHeartbeat+time.Second/10 {
					t.Errorf("%s: a heartbeat after %v, and before it at %v", surface, e.at, got.beats[i-1].at)
				}
				if e.at > 5*time.Second && (len(e.beat.GetFailingTaskIds()) != len(ids) || e.beat.GetObserveTime() != nil) {
					t.Errorf("%s: %v", surface, e.beat)
				}
			}
			for _, id := range ids {
				if !slices.Equal(got.of[id], []string{"UPSTREAM_STALE"}) || got.at[id] < service.DefaultStaleAfter {
					t.Errorf("%s: saw %q of %s, at %v", surface, got.of[id], id, got.at[id])
				}
			}
			if v := verdictOf(t, got.end); v.reason != "UPSTREAM_STALE" || v.retry == nil {
				t.Errorf("%s: ended with %+v", surface, got.end)
			}
		})
	}
}

// A busy stream has its heartbeats too: a failing task is named, and the confirmation is the oldest one.
func TestHeartbeatsOfABusyStream(t *testing.T) {
	busy := func(c *server.Config) { c.Service.PollMin, c.Service.PollMax = 100*time.Millisecond, 10*time.Second }
	bubble(t, busy, func(t *testing.T, s *system) {
		var changes []koodrivetest.Step
		for i := range 3000 {
			changes = append(changes, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i)})
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: "busy", Steps: changes})
		s.koodrive.SetTask(koodrivetest.Task{ID: "quiet", Steps: steps(1)})
		s.koodrive.SetTask(koodrivetest.Task{ID: "failing", Steps: []koodrivetest.Step{{Fault: koodrivetest.Answer(502, "")}}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		got := s.watchTasks(ctx, t, "grpc", []string{"failing", "busy", "quiet"})
		if len(got.of["busy"]) < 300 || len(got.beats) < 7 {
			t.Fatalf("%d states and %d heartbeats", len(got.of["busy"]), len(got.beats))
		}
		oldest := time.Duration(0)
		for i, e := range got.beats {
			if want := time.Duration(i+1) * service.DefaultHeartbeat; (e.at - want).Abs() > time.Second {
				t.Errorf("heartbeat %d at %v", i, e.at)
			}
			age := e.at - e.beat.GetObserveTime().AsTime().Sub(start)
			if !slices.Equal(e.beat.GetFailingTaskIds(), []string{"failing"}) || e.beat.GetFailureReason() != "UPSTREAM_UNAVAILABLE" || age < 0 || age > 13*time.Second {
				t.Errorf("at %v: %v, %v old", e.at, e.beat, age)
			}
			oldest = max(oldest, age)
		}
		if oldest < time.Second { // The busy task alone is confirmed ten times per second.
			t.Errorf("the oldest confirmation was never older than %v", oldest)
		}
	})
}

// Tasks that change at once arrive all, each once.
func TestTasksThatChangeTogether(t *testing.T) {
	for _, surface := range surfaces {
		bubble(t, nil, func(t *testing.T, s *system) {
			ids := s.fleet(50, koodrivetest.Step{Status: 0, For: time.Minute}, koodrivetest.Step{Status: 1})
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			got := s.watchTasks(ctx, t, surface, ids)
			for _, id := range ids {
				if !slices.Equal(got.of[id], []string{"NEW", "EXECUTING"}) || got.at[id] > time.Minute+19*time.Second {
					t.Errorf("%s: saw %q of %s, at %v", surface, got.of[id], id, got.at[id])
				}
			}
		})
	}
}

// A client that reads slowly gets the last state of each task.
func TestSlowReaderOfAList(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		name := strings.Repeat("x", 10_000) // Soon the buffers are full.
		var changes []koodrivetest.Step
		for i := range 10 {
			changes = append(changes, koodrivetest.Step{Status: 1, Name: name + fmt.Sprint(i), For: 2 * time.Second})
		}
		ids := s.fleet(50, append(changes, koodrivetest.Step{Status: 2, Name: name})...)
		stream, err := s.tasks.WatchTasks(as(t.Context(), token), &taskv1.WatchTasksRequest{TaskIds: ids})
		if err != nil {
			t.Fatal(err)
		}
		last, messages := map[string]*taskv1.Task{}, 0
		for {
			m, err := stream.Recv()
			if err != nil {
				break
			}
			if m.GetTask() != nil {
				messages++
				if before := last[m.GetTask().GetTaskId()]; before.GetDone() {
					t.Errorf("%s after its end", m.GetTask().GetTaskId())
				}
				last[m.GetTask().GetTaskId()] = m.GetTask()
			}
			time.Sleep(250 * time.Millisecond)
		}
		for _, id := range ids {
			if !last[id].GetDone() {
				t.Errorf("the last state of %s is %v", id, last[id].GetStatus())
			}
		}
		if messages > 9*len(ids) {
			t.Errorf("%d messages: the reader was not slow", messages)
		}
	})
}
