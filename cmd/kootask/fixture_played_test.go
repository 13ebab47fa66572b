package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// played is a stream whose answer the test decides step by step.
type played struct {
	ids    []string // Sorted.
	caller string   // The caller's own token.
	acts   chan func(http.ResponseWriter)
	gone   <-chan struct{} // Closed when the page has left the stream.
}

// play leads to a site whose streams are played. They are sent in the order in which they are requested.
func (s *site) play(t *testing.T) (*cable, chan *played) {
	t.Helper()
	streams := make(chan *played, 100)
	beat := lineOf(&taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Heartbeat{Heartbeat: &taskv1.Heartbeat{ObserveTime: timestamppb.Now()}}})
	return newStub(t, s.url, func(w http.ResponseWriter, r *http.Request, ids []string) {
		slices.Sort(ids)
		stream := &played{ids, r.Header.Get("X-Kootask-Authorization"), make(chan func(http.ResponseWriter)), r.Context().Done()}
		streams <- stream
		var beats <-chan time.Time // Once it has begun.
		for {
			select {
			case act := <-stream.acts:
				if act == nil {
					return
				}
				act(w)
				_ = http.NewResponseController(w).Flush()
				beats = time.Tick(time.Second)
			case <-beats:
				_, _ = io.WriteString(w, beat)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}), streams
}

func (s *played) act(act func(http.ResponseWriter)) {
	select {
	case s.acts <- act:
	case <-s.gone:
	}
}

// begins answers that the tasks are running.
func (s *played) begins() {
	s.act(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", ndjson)
		for _, id := range s.ids {
			_, _ = io.WriteString(w, line(id, taskv1.TaskStatus_TASK_STATUS_EXECUTING, 0))
		}
	})
}

// refuses answers with an error instead of a stream, and fails ends a stream with one.
func (s *played) refuses(status int, reason string, delay time.Duration) {
	s.act(func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, errorBody(reason, delay))
	})
	s.ends()
}

func (s *played) fails(reason string, delay time.Duration) {
	s.act(func(w http.ResponseWriter) { _, _ = fmt.Fprintf(w, "{\"failure\":%s}\n", errorBody(reason, delay)) })
	s.ends()
}

func (s *played) ends() { s.act(nil) }

// errorBody is that of an error. Without a delay, a retry does not help.
func errorBody(reason string, delay time.Duration) string {
	details := []map[string]any{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "koodrive.task.v1"}}
	if delay > 0 {
		details = append(details, map[string]any{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": fmt.Sprintf("%.0fs", delay.Seconds())})
	}
	body, err := json.Marshal(map[string]any{"code": 9, "message": "No.", "details": details})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// next returns the next stream, which must be of these tasks. No watch may have failed meanwhile.
func (p *tab) next(t *testing.T, streams chan *played, ids ...string) (stream *played) {
	t.Helper()
	await(t, nil, func() bool {
		select {
		case stream = <-streams:
			return true
		default:
			if rows := eval[string](t, p, `document.querySelector('tbody').innerText`); strings.Contains(rows, "Ended: ") {
				t.Fatalf("a watch has failed: %s", rows)
			}
			return false
		}
	})
	if !slices.Equal(stream.ids, ids) {
		t.Fatalf("a stream is of %q, want %q", stream.ids, ids)
	}
	return stream
}
