package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/history"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// callTrace is the trace of all calls of a history; it tells calls from polls in KooDrive's log.
const callTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

// recorder is a KooDrive for each credential, and records their answers.
type recorder struct {
	start     time.Time
	koodrives map[string]*koodrivetest.KooDrive // By credential.
	mu        sync.Mutex
	answers   []history.Answer // Guarded by mu.
}

// tee keeps a copy of the answer, unless the client has hung up before it begins.
type tee struct {
	http.ResponseWriter
	request *http.Request
	kept    *httptest.ResponseRecorder
}

func (t tee) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// WriteHeader leaves out the answer to a client that has hung up. This is the last moment to check: a client may read all
// of an answer that is larger than net/http's buffers, and hang up, before the handler returns.
func (t tee) WriteHeader(status int) {
	if t.request.Context().Err() == nil {
		t.kept.Code = status
	}
	t.ResponseWriter.WriteHeader(status)
}

func (t tee) Write(b []byte) (int, error) {
	t.kept.Body.Write(b)
	return t.ResponseWriter.Write(b)
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	kept := &httptest.ResponseRecorder{Body: new(bytes.Buffer)}
	credential := strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")
	a := history.Answer{
		Key:      history.Key{Credential: credential, TaskID: req.URL.Path[strings.LastIndexByte(req.URL.Path, '/')+1:]},
		Received: time.Since(r.start),
		ForCall:  strings.HasPrefix(req.Header.Get("X-Traceid"), callTrace),
	}
	defer func() {
		a.Ended = time.Since(r.start)
		a.Refused, a.Cut = kept.Code == http.StatusUnauthorized, kept.Code == 0
		if seconds, err := strconv.Atoi(w.Header().Get("Retry-After")); err == nil {
			a.RetryAfter = time.Duration(seconds) * time.Second
		}
		if kept.Code == http.StatusOK {
			a.Task = said(kept.Body.Bytes(), a.TaskID)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.answers = append(r.answers, a)
	}()
	r.koodrives[credential].ServeHTTP(tee{w, req, kept}, req)
}

// said reads an answer of KooDrive, independently of the product. It is nil if the answer has no state of the task.
func said(body []byte, id string) *history.Task {
	var answer struct {
		Code     json.Number
		TaskID   string `json:"taskId"`
		TaskName string `json:"taskName"`
		Status   *int64
	}
	if len(body) > upstream.MaxBody || json.Unmarshal(body, &answer) != nil || answer.Code != "0" || answer.TaskID != id || answer.Status == nil {
		return nil
	}
	return &history.Task{Name: answer.TaskName, Status: *answer.Status}
}

// shown is a task as a client sees it, and the time at which it was confirmed.
func (r *recorder) shown(t *taskv1.Task) (history.Task, time.Duration) {
	return history.Task{Name: t.GetTaskName(), Status: int64(t.GetKoodriveStatus())}, t.GetObserveTime().AsTime().Sub(r.start)
}

// event makes an event of the history from one of the fixture, at the moment at which the client reads it.
func (r *recorder) event(e event) history.Event {
	seen := history.Event{At: time.Since(r.start), Kind: e.name, Confirmed: -1}
	task, beat := e.task, e.beat
	switch e.name {
	case history.TaskSeen:
		if task == nil {
			task = &taskv1.Task{}
			mustUnmarshal(e.data, task)
		}
		seen.Task, seen.Confirmed = r.shown(task)
	case history.Heartbeat:
		if beat == nil {
			beat = &taskv1.Heartbeat{}
			mustUnmarshal(e.data, beat)
		}
		if beat.GetObserveTime() != nil {
			seen.Confirmed = beat.GetObserveTime().AsTime().Sub(r.start)
		}
	case history.Failure:
		seen.Reason = reasonOf(e)
	}
	return seen
}

func reasonOf(e event) (name string) {
	switch {
	case e.data != "":
		var st struct{ Details []struct{ Reason string } }
		if json.Unmarshal([]byte(e.data), &st) == nil && len(st.Details) > 0 {
			name = st.Details[0].Reason
		}
	case !errors.Is(e.err, io.EOF):
		name, _ = reason.Read(status.Convert(e.err))
	}
	return name
}

// get makes a call over REST, and returns its end.
func (s *system) getAs(ctx context.Context, credential, id string) (e event, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://kootask.test/v1/tasks/"+id, nil)
	if err != nil {
		return event{}, err
	}
	r.Header.Set("Authorization", "Bearer "+credential)
	r.Header.Set("Traceparent", "00-"+callTrace+"-00f067aa0ba902b7-01")
	resp, err := s.http.Do(r)
	if err != nil {
		return event{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	e = event{name: history.TaskSeen, data: string(body)}
	if resp.StatusCode != http.StatusOK {
		e.name = history.Failure
	}
	return e, err
}
