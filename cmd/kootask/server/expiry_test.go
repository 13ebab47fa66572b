package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// follow watches a task on a surface with a call's headers, and returns all events. The last one is the end or the failure.
func (s *known) follow(ctx context.Context, t *testing.T, surface string, c call) (events []event) {
	t.Helper()
	if surface == "grpc" {
		return s.followGRPC(ctx, c)
	}
	start := time.Now()
	r := request(ctx, t, "/v1/tasks/"+c.id+":watch", "Accept", surface)
	r.Header.Del("Authorization")
	for i := 0; i < len(c.header); i += 2 {
		r.Header.Add(c.header[i], c.header[i+1])
	}
	resp, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.out.response(resp)
	if resp.Header.Get("Content-Type") != surface+charset {
		body, _ := io.ReadAll(resp.Body)
		s.out.body(resp, string(body))
		return []event{{name: "failure", data: string(body), at: time.Since(start)}}
	}
	offset := time.Since(start)
	parse(t, surface, resp.Body, func(e event) {
		e.at += offset
		s.out.event(e)
		events = append(events, e)
	})
	return events
}

func (s *known) followGRPC(ctx context.Context, c call) (events []event) {
	start := time.Now()
	stream, err := s.tasks.WatchTask(metadata.NewOutgoingContext(ctx, metadata.Pairs(c.header...)), &taskv1.WatchTaskRequest{TaskId: c.id})
	for err == nil {
		var m *taskv1.WatchTaskResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		e := event{name: "heartbeat", at: time.Since(start), beat: m.GetHeartbeat()}
		if m.GetTask() != nil {
			e = event{name: "task", at: time.Since(start), task: m.GetTask()}
		}
		events = append(events, e)
	}
	if errors.Is(err, io.EOF) {
		return append(events, event{name: "end", at: time.Since(start)})
	}
	return append(events, event{name: "failure", at: time.Since(start), err: err})
}

// restless is a task that changes with each answer.
func restless(name string) koodrivetest.Task {
	task := koodrivetest.Task{ID: taskID}
	for i := range 1000 {
		task.Steps = append(task.Steps, koodrivetest.Step{Status: 1, Name: fmt.Sprint(i, name)})
	}
	return task
}

// A watch ends when the token that it began with expires, whatever else is due then, and the expired token gets nothing more.
func TestWatchesEndWithTheToken(t *testing.T) {
	t.Parallel()
	everySecond := func(c *server.Config) { c.Service.PollMin, c.Service.PollMax = time.Second, time.Second }
	rows := map[string]struct {
		life      time.Duration // Of the token.
		configure func(*server.Config)
		task      koodrivetest.Task
		want      string
	}{
		"no messages":   {5 * time.Second, nil, koodrivetest.Task{ID: taskID}, "CALLER_UNAUTHENTICATED"},
		"many messages": {5 * time.Second, everySecond, restless(""), "CALLER_UNAUTHENTICATED"},
		"a heartbeat is due": {
			5 * time.Second, func(c *server.Config) { c.Service.Heartbeat = time.Second }, koodrivetest.Task{ID: taskID}, "CALLER_UNAUTHENTICATED",
		},
		"the lifetime is shorter": {
			20 * time.Second, func(c *server.Config) { c.Service.WatchLifetime = 5 * time.Second }, koodrivetest.Task{ID: taskID},
			"WATCH_LIFETIME_REACHED",
		},
		"the lifetime is longer": {
			5 * time.Second, func(c *server.Config) { c.Service.WatchLifetime = 20 * time.Second }, koodrivetest.Task{ID: taskID},
			"CALLER_UNAUTHENTICATED",
		},
	}
	for name, row := range rows {
		for modeName, m := range modes {
			for _, surface := range surfaces {
				t.Run(name+"/"+modeName+"/"+surface, func(t *testing.T) {
					bubbleKnown(t, m, row.configure, func(t *testing.T, s *known) {
						s.koodrive.SetTask(row.task)
						c := m.call(taskID, "Bearer "+s.jwt(map[string]any{"exp": time.Now().Add(row.life).Unix()}))
						events := s.follow(t.Context(), t, surface, c)
						last := events[len(events)-1]
						if v := verdictOf(t, last); last.name != "failure" || v.reason != row.want || (v.retry != nil) != (row.want == "WATCH_LIFETIME_REACHED") {
							t.Errorf("it ended with %+v", v)
						}
						if last.at < 4*time.Second || last.at > 6*time.Second || row.want == "CALLER_UNAUTHENTICATED" && last.at.Round(time.Millisecond) != row.life {
							t.Errorf("it ended after %v", last.at)
						}
						for _, e := range events[:len(events)-1] {
							if e.name == "failure" || e.name == "end" || e.at >= row.life {
								t.Errorf("%s after %v", e.name, e.at)
							}
						}
						if len(events) < 2 {
							t.Error(events)
						}
						time.Sleep(row.life - last.at)
						asked := s.koodrive.Count()
						for _, door := range callerDoors {
							if v := s.fail(t.Context(), t, door, c); v.reason != "CALLER_UNAUTHENTICATED" {
								t.Errorf("afterwards %s came to %+v", door, v)
							}
						}
						if n := s.koodrive.Count() - asked; n != 0 {
							t.Errorf("afterwards KooDrive got %d requests", n)
						}
						if !strings.Contains(s.log.String(), `"outcome":"CALLER_TOKEN_EXPIRED"`) {
							t.Error("the log does not say why")
						}
					})
				})
			}
		}
	}
}

// A message that was held back because the client did not read is not sent after the token has expired: it is newer than
// the token.
func TestNothingIsSentAfterTheTokenHasExpired(t *testing.T) {
	fast := func(c *server.Config) { c.Service.PollMin, c.Service.PollMax = time.Second, time.Second }
	bubbleKnown(t, modes["caller"], fast, func(t *testing.T, s *known) {
		s.koodrive.SetTask(restless(strings.Repeat("x", 8<<10)))
		late := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithInitialWindowSize(64<<10), grpc.WithInitialConnWindowSize(64<<10)))
		const life = 25 * time.Second
		c := s.mode.call(taskID, "Bearer "+s.jwt(map[string]any{"exp": time.Now().Add(life).Unix()}))
		began := time.Now()
		stream, err := late.WatchTask(metadata.NewOutgoingContext(t.Context(), metadata.Pairs(c.header...)), &taskv1.WatchTaskRequest{TaskId: taskID})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(35 * time.Second) // A send is stuck after some 16 s, and may be for 30 s.
		var last *taskv1.Task
		for {
			m, err := stream.Recv()
			if err != nil {
				if v := read(t, status.Convert(err)); v.reason != "CALLER_UNAUTHENTICATED" {
					t.Errorf("it ended with %v", err)
				}
				break
			}
			last = m.GetTask()
		}
		if seen := last.GetObserveTime().AsTime().Sub(began); seen > life {
			t.Errorf("the last message is from %v", seen)
		}
	})
}
