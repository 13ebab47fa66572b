package gateway

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// event is one of a stream, as a reader sees it.
type event struct {
	Name, ID, Retry string
	Data            string
}

// parseEvents reads server-sent events by the letter of the standard, which knows three kinds of line ends and more fields than
// we write.
func parseEvents(body string) []event {
	body = strings.TrimPrefix(strings.ToValidUTF8(body, "\uFFFD"), "\uFEFF")
	var events []event
	var now event
	var data strings.Builder
	id := ""
	for body != "" {
		end := strings.IndexAny(body, "\r\n")
		if end < 0 {
			break // A line without an end is not part of an event.
		}
		line := body[:end]
		if strings.HasPrefix(body[end:], "\r\n") {
			end++
		}
		body = body[end+1:]
		if line == "" {
			if data.Len() > 0 {
				now.ID, now.Data = id, strings.TrimSuffix(data.String(), "\n")
				events = append(events, now)
			}
			now = event{}
			data.Reset()
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			now.Name = value
		case "data":
			data.WriteString(value + "\n")
		case "id":
			if !strings.Contains(value, "\x00") {
				id = value
			}
		case "retry":
			if value != "" && strings.Trim(value, "0123456789") == "" {
				now.Retry = value
			}
		}
	}
	return events
}

// inChunks gives a reader pieces of the text, as a proxy cuts it.
type inChunks struct {
	rest string
	size int
}

func (c *inChunks) Read(p []byte) (int, error) {
	if c.rest == "" {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.size)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// parseLines reads JSON lines, in whatever pieces they come.
func parseLines(t *testing.T, body string, chunk int) []event {
	t.Helper()
	lines := bufio.NewReader(&inChunks{body, chunk})
	var events []event
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			if line != "" {
				t.Errorf("%q does not end", line)
			}
			return events
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal([]byte(line), &object); err != nil || len(object) != 1 {
			t.Errorf("%q is not an object with one member: %v", line, err)
		}
		for name, data := range object {
			events = append(events, event{Name: name, Data: string(data)})
		}
	}
}

// hostileTexts are those that could begin a line, an event or a document of their own.
var hostileTexts = []string{
	"", "plain", "x\n\nevent: end\ndata: {}\n\n", "x\r\revent: end\rdata: {}\r\r", "x\r\n\r\ndata: {}\r\n\r\n", "data: x", "id: end", "retry: 0", ":", "\x00", "\u2028\u2029",
	"\u0085", "\uFEFF", "\x0b\x0c\x1c", "\ud7ff\ue000", "\xed\xa0\x80", "\xff", `"}}` + "\n" + `{"end":{}}`, `\n\n`, `\u000a`, "</script>", "😀", strings.Repeat("x\n", 100),
}

// However a task is called and whatever a failure says: a reader that keeps to the standard sees exactly the events that were
// sent, with their names and ids, and reads the same messages from their data. The same holds for JSON lines, one for each
// event.
func FuzzStream(f *testing.F) {
	for _, text := range hostileTexts {
		for end := range uint8(3) {
			f.Add([]byte{0, 1, 2, 3}, text, text, true, end, uint8(0))
			f.Add([]byte{0, 1, 2}, text, text, false, end, uint8(6))
		}
	}
	f.Add([]byte{}, "x", "x\n\n", true, uint8(1), uint8(9))
	f.Add([]byte{2, 2}, "x", "x\n\n", true, uint8(1), uint8(200))
	conn := &scripted{}
	handler, _ := fixture(f, conn)
	f.Fuzz(func(t *testing.T, script []byte, name, text string, events bool, end, outcome uint8) {
		name = strings.ToValidUTF8(name, "\uFFFD") // Nothing else comes over gRPC.
		var want []event
		var sent []proto.Message
		conn.messages = nil
		for _, kind := range script[:min(len(script), 20)] {
			message := kinds[kind%4](name)
			conn.messages = append(conn.messages, message)
			switch {
			case message.GetTask().GetDone():
				want, sent = append(want, event{Name: "task", ID: "end"}), append(sent, message.GetTask())
			case message.GetTask() != nil:
				want, sent = append(want, event{Name: "task"}), append(sent, message.GetTask())
			case message.GetHeartbeat() != nil:
				want, sent = append(want, event{Name: "heartbeat"}), append(sent, message.GetHeartbeat())
			}
			if message.GetTask().GetDone() {
				break // A server sends nothing after it.
			}
		}
		finished := len(want) > 0 && want[len(want)-1].ID == "end"
		var failure *status.Status
		switch end % 3 {
		case 0:
			conn.end = nil
		case 1:
			all := reason.Outcomes()
			failure = (&reason.Error{
				Outcome: all[int(outcome)%len(all)], UpstreamCode: text, Metadata: map[string]string{"text": text}, Cause: errors.New(secret + text),
				Violations: []reason.Violation{{Field: strings.ToValidUTF8(text, ""), Reason: reason.Malformed, Description: "It is wrong."}},
			}).Status(text, reason.Chinese)
			conn.end = failure.Err()
		case 2: // One of gRPC's own, whose text stays here.
			conn.end = status.Error(codes.Code(outcome%16+1), secret+text)
		}

		header := http.Header{}
		if events {
			header = accept
		}
		w := get(handler, "/v1/tasks/1:watch", "", header)
		if strings.Contains(w.Body.String(), secret) {
			t.Errorf("a text of gRPC is sent: %q", w.Body)
		}
		if len(want) == 0 {
			if w.Code == http.StatusOK || w.Header().Get("Content-Type") != "application/json" || !json.Valid(w.Body.Bytes()) {
				t.Errorf("an error that comes first is answered with %d %q", w.Code, w.Body)
			}
			return
		}
		if finished && end%3 == 0 {
			want, sent = append(want, event{Name: "end"}), append(sent, nil)
		} else {
			want, sent = append(want, event{Name: "failure"}), append(sent, nil)
		}
		for i := range want {
			switch {
			case !events:
				want[i].ID = ""
			case i > 0 && want[i-1].ID != "":
				want[i].ID = want[i-1].ID // An id stays until the next.
			}
		}

		var got []event
		if events {
			got = parseEvents(w.Body.String())
		} else {
			got = parseLines(t, w.Body.String(), int(outcome)+1)
		}
		var names []event
		for _, e := range got {
			names = append(names, event{Name: e.Name, ID: e.ID})
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Fatalf("-want +got\n%s\n%q", diff, w.Body)
		}
		for i, e := range got {
			if sent[i] != nil {
				sameMessage(t, sent[i], e.Data)
			}
		}
		last := got[len(got)-1]
		if last.Name == "end" && (last.Data != "{}" || last.Retry != "") {
			t.Errorf("the end is %+v", last)
		}
		if last.Name == "failure" {
			checkFailure(t, failure, last, events)
		}
	})
}

const secret = "geheim-7f3a9c51d2"

// kinds are messages of a watch whose texts are all the same.
var kinds = []func(text string) *taskv1.WatchTasksResponse{
	func(text string) *taskv1.WatchTasksResponse {
		return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Task{Task: &taskv1.Task{
			TaskId: "1", TaskName: text, TenantId: text, KoodriveResultCode: text, Status: taskv1.TaskStatus_TASK_STATUS_EXECUTING, KoodriveStatus: proto.Int32(1),
		}}}
	},
	func(text string) *taskv1.WatchTasksResponse {
		return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Heartbeat{Heartbeat: &taskv1.Heartbeat{FailureCount: 1, FailureReason: text}}}
	},
	func(string) *taskv1.WatchTasksResponse { return &taskv1.WatchTasksResponse{} },
	func(text string) *taskv1.WatchTasksResponse {
		return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Task{Task: &taskv1.Task{
			TaskId: "1", TaskName: text, UserId: text, Status: taskv1.TaskStatus_TASK_STATUS_SUCCESS, Done: true,
		}}}
	},
}

// sameMessage checks that the JSON is that of the message.
func sameMessage(t *testing.T, want proto.Message, data string) {
	t.Helper()
	got := want.ProtoReflect().New().Interface()
	if err := protojson.Unmarshal([]byte(data), got); err != nil {
		t.Errorf("%q: %v", data, err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// checkFailure checks the failure event of a stream. One that is not ours, nil here, is replaced.
func checkFailure(t *testing.T, sent *status.Status, got event, events bool) {
	t.Helper()
	var body spb.Status
	if err := protojson.Unmarshal([]byte(got.Data), &body); err != nil {
		t.Fatalf("%q: %v", got.Data, err)
	}
	name, retry := reason.Read(status.FromProto(&body))
	if body.GetCode() != int32(codes.Canceled) && name == "" {
		t.Errorf("%q has no reason", got.Data)
	}
	if events != (got.Retry != "") && retry != nil || retry == nil && got.Retry != "" {
		t.Errorf("%v is asked for, with retry %q", retry, got.Retry)
	}
	if sent == nil {
		return
	}
	if ours, _ := reason.Read(sent); ours != "" {
		sameMessage(t, sent.Proto(), got.Data)
	}
}
