package server_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// event is an event of a stream, on any surface.
type event struct {
	name string // task, heartbeat, end or failure.
	id   string
	data string // JSON, except on a gRPC stream.
	wait string // The retry field of a server-sent event.
	at   time.Duration
	task *taskv1.Task // Of a gRPC stream, as is the next.
	beat *taskv1.Heartbeat
	err  error
}

// parse reads a stream in either form until it ends, and passes on each event.
func parse(t *testing.T, contentType string, body io.Reader, each func(event)) {
	t.Helper()
	start := time.Now()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	var e event
	for lines.Scan() {
		line := lines.Text()
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
	start := time.Now()
	r := request(ctx, t, "/v1/tasks/"+id+":watch", "Accept", surface)
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
			openAPI().allowsEvent(t, surface, e)
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
	for {
		m, err := stream.Recv()
		at := time.Since(start)
		switch {
		case errors.Is(err, io.EOF):
			each(event{name: "end", at: at})
			return
		case err != nil:
			each(event{name: "failure", err: err, at: at})
			return
		case m.GetTask() != nil:
			each(event{name: "task", task: m.GetTask(), at: at})
		default:
			each(event{name: "heartbeat", beat: m.GetHeartbeat(), at: at})
		}
	}
}
