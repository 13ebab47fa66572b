package gateway

import (
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/jsonline"
)

// Names of the events of a stream. Event sources reserve the name "error".
const (
	taskEvent      = "task"
	heartbeatEvent = "heartbeat"
	endEvent       = "end"
	failureEvent   = "failure"
)

// lastEventID is the id of the event with the finished task. No other event has an id.
const lastEventID = "end"

// WriteTimeout is how long a write may wait for a client that does not read before the stream is cut.
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
// cannot contain the start of another event.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	events  bool // Server-sent events; otherwise JSON lines.
	opened  bool // The header has been written.
}

func newEventWriter(w http.ResponseWriter, events bool) *eventWriter {
	return &eventWriter{w: w, control: http.NewResponseController(w), events: events}
}

// message writes one message of the stream. It ignores messages that it does not know: the contract may be newer.
func (e *eventWriter) message(m *taskv1.WatchTaskResponse) error {
	switch {
	case m.GetTask() != nil:
		id := ""
		if m.GetTask().GetDone() {
			id = lastEventID
		}
		data, err := jsonline.Marshal(jsonForm, m.GetTask())
		if err != nil {
			return err
		}
		return e.write(taskEvent, id, -1, data)
	case m.GetHeartbeat() != nil:
		data, err := jsonline.Marshal(jsonForm, m.GetHeartbeat())
		if err != nil {
			return err
		}
		return e.write(heartbeatEvent, "", -1, data)
	}
	return nil
}

// end writes the last event of a stream that ends after a finished task.
func (e *eventWriter) end() error { return e.write(endEvent, "", -1, []byte("{}")) }

// failure writes the last event of a stream that ends otherwise.
func (e *eventWriter) failure(st *status.Status) error {
	return e.write(failureEvent, "", retryMillis(st), errorJSON(st))
}

// write writes an event and flushes it. An empty id and a negative retry are left out.
func (e *eventWriter) write(name, id string, retryMillis int64, data []byte) error {
	e.open()
	var frame []byte
	if e.events {
		frame = fmt.Appendf(frame, "event: %s\n", name)
		if id != "" {
			frame = fmt.Appendf(frame, "id: %s\n", id)
		}
		if retryMillis >= 0 {
			frame = fmt.Appendf(frame, "retry: %d\n", retryMillis)
		}
		frame = fmt.Appendf(frame, "data: %s\n\n", data)
	} else {
		frame = fmt.Appendf(frame, "{%q:%s}\n", name, data)
	}
	// net/http removes the deadline when the stream has ended. If the server does not support deadlines, the write has
	// none.
	_ = e.control.SetWriteDeadline(time.Now().Add(WriteTimeout))
	if _, err := e.w.Write(frame); err != nil {
		return err
	}
	return e.control.Flush()
}

// open writes the header, once. It asks proxies not to buffer: X-Accel-Buffering is nginx's, and no-transform forbids
// compression, which would gather data.
func (e *eventWriter) open() {
	if e.opened {
		return
	}
	e.opened = true
	h := e.w.Header()
	h.Set("Cache-Control", "no-store, no-transform")
	h.Set("X-Accel-Buffering", "no")
	h.Set("Content-Type", lineStreamType)
	if e.events {
		h.Set("Content-Type", eventStreamType)
	}
	e.w.WriteHeader(http.StatusOK)
}
