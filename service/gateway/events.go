package gateway

import (
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/jsonline"
	"github.com/kootask/kootask/service/message"
)

// Names of the events of a stream. Event sources reserve the name "error".
const (
	taskEvent      = "task"
	heartbeatEvent = "heartbeat"
	droppedEvent   = "dropped"
	endEvent       = "end"
	failureEvent   = "failure"
)

// lastEventID is the id of the event with which the last task of a stream ends. No other event has an id.
const lastEventID = "end"

// WriteTimeout is how long the last event may wait for a client that does not read. TaskService limits the others.
const WriteTimeout = 30 * time.Second

// Media types of a stream. Without a charset, clients may assume ISO-8859-1 or guess.
const (
	eventStream     = "text/event-stream"
	eventStreamType = eventStream + "; charset=utf-8"
	lineStreamType  = "application/x-ndjson; charset=utf-8"
)

// acceptsEvents reports whether the request accepts server-sent events.
func acceptsEvents(r *http.Request) bool { return lists(r.Header.Values("Accept"), eventStream) }

// eventWriter writes a stream as JSON lines, {"name":data}, or as server-sent events. data is JSON on one line, so it
// cannot contain the start of another event. It implements [message.Sink].
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	events  bool // Server-sent events; otherwise JSON lines.
	begun   bool // The header has been written.
	open    int  // Tasks that are neither finished nor dropped for good.
	cut     atomic.Bool
}

// newEventWriter returns a writer for the stream of a number of tasks.
func newEventWriter(w http.ResponseWriter, events bool, tasks int) *eventWriter {
	return &eventWriter{w: w, control: http.NewResponseController(w), events: events, open: tasks}
}

// Send writes one message of the stream. It ignores messages that it does not know: the contract may be newer.
func (e *eventWriter) Send(m *message.Message) error {
	event, _ := m.Message.(*taskv1.WatchTasksResponse)
	if event.GetTask().GetDone() || event.GetDropped() != nil && event.GetDropped().GetRetryDelay() == nil {
		e.open--
	}
	form, encode := message.Line, encodeLine
	switch {
	case e.events && e.open == 0:
		form, encode = message.LastEvent, encodeLastEvent
	case e.events:
		form, encode = message.Event, encodeEvent
	}
	bytes, err := message.As(m, form, encode)
	if err != nil || len(bytes) == 0 {
		return err
	}
	return e.write(bytes)
}

// Cut breaks the connection off if a write waits for a client that does not read.
func (e *eventWriter) Cut() {
	e.cut.Store(true)
	_ = e.control.SetWriteDeadline(time.Now())
}

func encodeLine(m proto.Message) ([]byte, error) {
	name, data, err := eventOf(m)
	if name == "" || err != nil {
		return nil, err
	}
	return lineOf(name, data), nil
}

func encodeEvent(m proto.Message) ([]byte, error) { return encodeEventWith("", m) }

// encodeLastEvent encodes the event with which the last task of a stream ends.
func encodeLastEvent(m proto.Message) ([]byte, error) { return encodeEventWith(lastEventID, m) }

func encodeEventWith(id string, m proto.Message) ([]byte, error) {
	name, data, err := eventOf(m)
	if name == "" || err != nil {
		return nil, err
	}
	return sentEvent(name, id, -1, data), nil
}

// eventOf returns the event of a message; an empty name if it has none.
func eventOf(m proto.Message) (name string, data []byte, err error) {
	response, _ := m.(*taskv1.WatchTasksResponse)
	var event proto.Message
	switch {
	case response.GetTask() != nil:
		name, event = taskEvent, response.GetTask()
	case response.GetHeartbeat() != nil:
		name, event = heartbeatEvent, response.GetHeartbeat()
	case response.GetDropped() != nil:
		name, event = droppedEvent, response.GetDropped()
	default:
		return "", nil, nil
	}
	data, err = jsonline.Marshal(jsonForm, event)
	return name, data, err
}

func lineOf(name string, data []byte) []byte { return fmt.Appendf(nil, "{%q:%s}\n", name, data) }

// sentEvent returns a server-sent event. An empty id and a negative retry are left out.
func sentEvent(name, id string, retryMillis int64, data []byte) []byte {
	event := fmt.Appendf(nil, "event: %s\n", name)
	if id != "" {
		event = fmt.Appendf(event, "id: %s\n", id)
	}
	if retryMillis >= 0 {
		event = fmt.Appendf(event, "retry: %d\n", retryMillis)
	}
	return fmt.Appendf(event, "data: %s\n\n", data)
}

// end writes the last event of a stream whose tasks have all ended.
func (e *eventWriter) end() error { return e.last(endEvent, -1, []byte("{}")) }

// failure writes the last event of a stream that ends otherwise.
func (e *eventWriter) failure(st *status.Status) error {
	return e.last(failureEvent, retryMillis(st), errorJSON(st))
}

// last writes the last event, within WriteTimeout. Nothing can follow a message that was cut.
func (e *eventWriter) last(name string, retryMillis int64, data []byte) error {
	if e.cut.Load() {
		return os.ErrDeadlineExceeded
	}
	// net/http removes the deadline when the stream has ended. If the server does not support deadlines, the write has
	// none.
	_ = e.control.SetWriteDeadline(time.Now().Add(WriteTimeout))
	if e.events {
		return e.write(sentEvent(name, "", retryMillis, data))
	}
	return e.write(lineOf(name, data))
}

// write writes an event and flushes it.
func (e *eventWriter) write(event []byte) error {
	e.begin()
	if _, err := e.w.Write(event); err != nil {
		return err
	}
	return e.control.Flush()
}

// begin writes the header, once. It asks proxies not to buffer: X-Accel-Buffering is nginx's, and no-transform forbids
// compression, which would gather data.
func (e *eventWriter) begin() {
	if e.begun {
		return
	}
	e.begun = true
	// The server's time limit for answers does not hold for streams.
	_ = e.control.SetWriteDeadline(time.Time{})
	if e.cut.Load() {
		e.Cut()
	}
	h := e.w.Header()
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set("Content-Type", lineStreamType)
	if e.events {
		h.Set("Content-Type", eventStreamType)
	}
	e.w.WriteHeader(http.StatusOK)
}
