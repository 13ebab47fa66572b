package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// way is a way through nginx. Its name is also that of the test's task and of the request.
type way struct {
	name   string
	accept string // Empty: gRPC.
	http2  bool
}

var (
	overHTTP = []way{
		{"lines-1", ndjson, false}, {"lines-2", ndjson, true},
		{"events-1", sse, false}, {"events-2", sse, true},
	}
	overAll = append([]way{{name: "grpc"}}, overHTTP...)
)

// next returns the name of a stream's next event with its news: the task's state, or the failure's reason. Heartbeats are
// left out. At the end of the stream it returns the error, io.EOF if the stream ended well.
type next func() (string, error)

// wants waits for the next event, and fails the test unless it is the given one.
func (n next) wants(t *testing.T, want string) {
	t.Helper()
	if got, err := n(); got != want || err != nil {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
}

// over fails the test unless the stream has ended, well or not.
func (n next) over(t *testing.T, well bool) {
	t.Helper()
	if got, err := n(); err == nil || errors.Is(err, io.EOF) != well {
		t.Errorf("after its end: %q, %v", got, err)
	}
}

// watch watches the way's task through it.
func (e *edge) watch(ctx context.Context, w way) (next, error) {
	if w.accept == "" {
		stream, err := e.tasks.WatchTask(as(ctx, w.name), &taskv1.WatchTaskRequest{TaskId: w.name})
		return messages(stream), err
	}
	return e.stream(ctx, w, "/v1/tasks/"+w.name+":watch")
}

// url returns the URL of a way over HTTP.
func (e *edge) url(w way) string {
	if w.http2 {
		return e.http2
	}
	return e.http
}

// stream opens a stream over HTTP. A path with a ticket has no other credential.
func (e *edge) stream(ctx context.Context, w way, path string) (next, error) {
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, e.url(w)+path, nil)
	if !strings.Contains(path, "ticket=") {
		r.Header.Set("Authorization", "Bearer "+demoToken)
	}
	r.Header.Set("X-Request-Id", w.name)
	r.Header.Set("Accept", w.accept)
	resp, err := client(w.http2).Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != w.accept+"; charset=utf-8" || resp.Header.Get("X-Request-Id") != w.name {
		return nil, fmt.Errorf("%s, %v", resp.Status, resp.Header)
	}
	return events(resp.Body), nil
}

// as adds the credential and a request id to a gRPC call.
func as(ctx context.Context, requestID string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+demoToken, "x-request-id", requestID)
}

// mustWatch is watch for a test that cannot go on without.
func (e *edge) mustWatch(ctx context.Context, t *testing.T, w way) next {
	t.Helper()
	next, err := e.watch(ctx, w)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// client makes a connection for each request, in one version of HTTP.
func client(http2 bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	return &http.Client{Transport: &http.Transport{Protocols: &protocols, DisableKeepAlives: true}}
}

// messages reads a gRPC stream. It returns the end as an HTTP stream does.
func messages[M any, P interface {
	*M
	GetTask() *taskv1.Task
}](stream grpc.ServerStreamingClient[M]) next {
	over := false
	return func() (string, error) {
		for !over {
			m, err := stream.Recv()
			name, _ := reason.Read(status.Convert(err))
			over = err != nil
			switch {
			case errors.Is(err, io.EOF):
				return "end", nil
			case name != "":
				return "failure " + name, nil
			case err != nil:
				return "", err
			case P(m).GetTask() != nil:
				return "task " + stateOf(P(m).GetTask()), nil
			}
		}
		return "", io.EOF
	}
}

// events reads the body of a stream, in either form.
func events(body io.Reader) next {
	lines := bufio.NewReader(body)
	name := ""
	return func() (string, error) {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return "", err
			}
			line = strings.TrimSuffix(line, "\n")
			field, data, _ := strings.Cut(line, ": ")
			if strings.HasPrefix(line, "{") { // {"name":data}
				field, data, _ = strings.Cut(strings.TrimSuffix(strings.TrimPrefix(line, `{"`), "}"), `":`)
				name, field = field, "data"
			}
			switch {
			case field == "event":
				name = data
			case field == "data" && name != "heartbeat":
				return eventOf(name, []byte(data))
			}
		}
	}
}

func eventOf(name string, data []byte) (string, error) {
	switch name {
	case "task":
		var task taskv1.Task
		err := protojson.Unmarshal(data, &task)
		return "task " + stateOf(&task), err
	case "failure":
		return "failure " + reasonOf(data), nil
	default:
		return name, nil
	}
}

func stateOf(task *taskv1.Task) string {
	return strings.TrimPrefix(task.GetStatus().String(), "TASK_STATUS_")
}

// reasonOf is the reason in an error as JSON, empty if the error is not kootask's.
func reasonOf(body []byte) string {
	var st spb.Status
	if !json.Valid(body) || protojson.Unmarshal(body, &st) != nil {
		return ""
	}
	name, _ := reason.Read(status.FromProto(&st))
	return name
}
