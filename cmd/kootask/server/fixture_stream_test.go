package server_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// event is an event of a stream, on any surface.
type event struct {
	name string // task, heartbeat, dropped, end or failure.
	id   string
	data string // JSON, except on a gRPC stream.
	wait string // The retry field of a server-sent event.
	at   time.Duration
	task *taskv1.Task // Of a gRPC stream, as are the next ones.
	beat *taskv1.Heartbeat
	drop *taskv1.DroppedTask
	err  error
}

// parse reads a stream in either form until it ends, and passes on each event.
func parse(t *testing.T, contentType string, body io.Reader, each func(event)) {
	t.Helper()
	start := time.Now()
	lines := bufio.NewReader(body)
	var e event
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return // The rest is a line that was cut off.
		}
		line = strings.TrimSuffix(line, "\n")
		if contentType == ndjson {
			var object map[string]json.RawMessage
			if err := json.Unmarshal([]byte(line), &object); err != nil || len(object) != 1 {
				t.Errorf("line %q: %v", line, err)
			}
			for name, data := range object {
				each(event{name: name, data: string(data), at: time.Since(start)})
			}
			continue
		}
		if line == "" {
			e.at = time.Since(start)
			each(e)
			e = event{}
			continue
		}
		field, value, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			e.name = value
		case "id":
			e.id = value
		case "data":
			e.data = value
		case "retry":
			e.wait = value
		default:
			t.Errorf("line %q", line)
		}
	}
}

// status is the status of a task event.
func (e event) status(t *testing.T) string {
	t.Helper()
	if e.task != nil {
		return e.task.GetStatus().String()
	}
	var task struct{ Status string }
	if err := json.Unmarshal([]byte(e.data), &task); err != nil {
		t.Errorf("event %+v: %v", e, err)
	}
	return task.Status
}

const (
	ndjson = "application/x-ndjson"
	sse    = "text/event-stream"
	// charset is the charset parameter of both content types.
	charset = "; charset=utf-8"
)

// surfaces are the three ways to watch a task.
var surfaces = []string{"grpc", ndjson, sse}

// watch watches a task on a surface until the stream ends, and returns all events. The last one is "end" or "failure". If an HTTP
// stream fails before it begins, the data of the failure is the body.
func (s *system) watch(ctx context.Context, t *testing.T, surface, id string) (events []event) {
	t.Helper()
	s.follow(ctx, t, surface, id, func(e event) { events = append(events, e) })
	return events
}

func (s *system) follow(ctx context.Context, t *testing.T, surface, id string, each func(event)) {
	t.Helper()
	if surface == "grpc" {
		s.followGRPC(ctx, id, each)
		return
	}
	s.followHTTP(ctx, t, surface, "/v1/tasks/"+id+":watch", each)
}

func (s *system) followHTTP(ctx context.Context, t *testing.T, surface, path string, each func(event)) {
	t.Helper()
	start := time.Now()
	r := request(ctx, t, path, "Accept", surface)
	r.Header.Set("Authorization", "Bearer "+cmp.Or(s.credential, token))
	resp, err := s.http.Do(r)
	if err != nil {
		each(event{name: "failure", err: err})
		return
	}
	defer resp.Body.Close()
	s.out.response(resp)
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		s.out.body(resp, string(body))
		openAPI().allows(t, resp, string(body))
		each(event{name: "failure", data: string(body), at: time.Since(start)})
		return
	}
	if got := resp.Header.Get("Content-Type"); got != surface+charset {
		t.Errorf("Content-Type %q, want %q", got, surface)
	}
	openAPI().allows(t, resp, "") // Its events are searched as they come.
	offset := time.Since(start)
	parse(t, surface, resp.Body, func(e event) {
		e.at += offset
		s.out.event(e)
		if ctx.Err() == nil { // A client that has left may get any error.
			openAPI().allowsEvent(t, surface, path, e)
		}
		each(e)
	})
}

func (s *system) followGRPC(ctx context.Context, id string, each func(event)) {
	start := time.Now()
	stream, err := s.tasks.WatchTask(as(ctx, cmp.Or(s.credential, token)), &taskv1.WatchTaskRequest{TaskId: id})
	if err != nil {
		each(event{name: "failure", err: err})
		return
	}
	receive(start, each, func() (event, error) {
		m, err := stream.Recv()
		return event{task: m.GetTask(), beat: m.GetHeartbeat()}, err
	})
}

// receive passes on the events of a gRPC stream until it ends.
func receive(start time.Time, each func(event), next func() (event, error)) {
	for {
		e, err := next()
		e.at = time.Since(start)
		switch {
		case errors.Is(err, io.EOF):
			each(event{name: "end", at: e.at})
			return
		case err != nil:
			each(event{name: "failure", err: err, at: e.at})
			return
		case e.task != nil:
			e.name = "task"
		case e.drop != nil:
			e.name = "dropped"
		default:
			e.name = "heartbeat"
		}
		each(e)
	}
}

// followTasks watches a list of tasks on a surface.
func (s *system) followTasks(ctx context.Context, t *testing.T, surface string, ids []string, each func(event)) {
	t.Helper()
	if surface != "grpc" {
		s.followHTTP(ctx, t, surface, listPath(":watch", ids), each)
		return
	}
	start := time.Now()
	stream, err := s.tasks.WatchTasks(as(ctx, cmp.Or(s.credential, token)), &taskv1.WatchTasksRequest{TaskIds: ids})
	if err != nil {
		each(event{name: "failure", err: err})
		return
	}
	receive(start, each, func() (event, error) {
		m, err := stream.Recv()
		return event{task: m.GetTask(), beat: m.GetHeartbeat(), drop: m.GetDropped()}, err
	})
}

// listPath returns a path for a list of tasks.
func listPath(verb string, ids []string) string {
	return "/v1/tasks" + verb + "?" + url.Values{"taskIds": ids}.Encode()
}

// parsed is an event with its message, as on a gRPC stream.
func (e event) parsed(t *testing.T) event {
	t.Helper()
	if e.data == "" {
		return e
	}
	var into proto.Message
	switch e.name {
	case "task":
		e.task = &taskv1.Task{}
		into = e.task
	case "heartbeat":
		e.beat = &taskv1.Heartbeat{}
		into = e.beat
	case "dropped":
		e.drop = &taskv1.DroppedTask{}
		into = e.drop
	default:
		return e
	}
	if err := protojson.Unmarshal([]byte(e.data), into); err != nil {
		t.Errorf("event %+v: %v", e, err)
	}
	return e
}
