package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// line is a line of a watch, about a task that was confirmed some time ago.
func line(id string, status taskv1.TaskStatus, ago time.Duration) string {
	done := status == taskv1.TaskStatus_TASK_STATUS_SUCCESS
	data, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(&taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: &taskv1.Task{
		TaskId: id, Status: status, KoodriveStatus: new(int32(status - 1)), Done: done, ObserveTime: timestamppb.New(time.Now().Add(-ago)),
	}}})
	if err != nil {
		panic(err)
	}
	return string(data) + "\n"
}

// For every kind of answer to a watch, the page does the same as the other clients.
func TestConsoleOddStreams(t *testing.T) {
	t.Parallel()
	const executing, success = taskv1.TaskStatus_TASK_STATUS_EXECUTING, taskv1.TaskStatus_TASK_STATUS_SUCCESS
	ndjsonAlso := ndjson + "; charset=utf-8"
	rows := []struct {
		id, contentType string
		status          int
		body            func(id string) string
		connection      string // Expected connection,
		state           string
		says            string // and text on the card.
		again           bool   // Whether the page watches again.
	}{
		{id: "finished-and-cut", body: func(id string) string { return line(id, success, 0) }, connection: "ended", state: "SUCCESS"},
		{id: "blank-and-newer", contentType: ndjsonAlso, body: func(id string) string {
			return "\n{}\n{\"newer\":[1]}\nnull\n" + line(id, executing, 0) + "\r\n" + line(id, success, 0) + `{"end":{}}` + "\n"
		}, connection: "ended", state: "SUCCESS"},
		{id: "a-newer-type", body: func(id string) string {
			return strings.Replace(line(id, success, 0), `"TASK_TYPE_UNSPECIFIED"`, `"TASK_TYPE_OF_TOMORROW","koodriveTaskType":9`, 1)
		}, connection: "ended", state: "SUCCESS", says: "unlisted: 9"},
		{id: "cut-in-a-line", body: func(id string) string { return line(id, executing, 0) + `{"task":{"taskId"` }, connection: "lost", state: "EXECUTING", says: "EXECUTING", again: true},
		{id: "a-page-about-a-pause", contentType: "text/html", body: func(string) string { return "<p>Back soon.</p>" }, connection: "lost", state: "unknown", again: true},
		{id: "a-way-to-sign-in", status: http.StatusFound, connection: "failed", state: "unknown", says: "Sign in again"},
		{id: "a-proxys-error", status: http.StatusForbidden, contentType: "text/html", body: func(string) string { return "<p>No.</p>" }, connection: "failed", state: "unknown", says: "with status 403"},
		{id: "a-proxys-pause", status: http.StatusBadGateway, contentType: "text/html", body: func(string) string { return "<p>Later.</p>" }, connection: "lost", state: "unknown", again: true},
	}
	s := newSite(t, nil)
	c := newCable(t, s.url)
	site := c.Config.Handler
	var mu sync.Mutex
	asked := map[string]int{}
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, row := range rows {
			if r.URL.Path != "/v1/tasks/"+row.id+":watch" {
				continue
			}
			mu.Lock()
			asked[row.id]++
			mu.Unlock()
			w.Header().Set("Content-Type", row.contentType)
			if row.contentType == "" {
				w.Header().Set("Content-Type", ndjson)
			}
			w.Header().Set("Location", "/sign-in")
			if row.status != 0 {
				w.WriteHeader(row.status)
			}
			if row.body != nil {
				_, _ = io.WriteString(w, row.body(row.id))
			}
			return
		}
		site.ServeHTTP(w, r)
	})
	p := openTab(t, c.URL)
	defer p.judge(t)
	p.expects(`^log: network: .* 403 .*a-proxys-error`)
	p.expects(`^log: network: .* 502 .*a-proxys-pause`)
	for _, row := range rows {
		p.watch(t, "any", row.id)
		p.becomes(t, row.id, "connection", row.connection)
		p.becomes(t, row.id, "state", row.state)
		if says := p.text(t, card(row.id, "")); !strings.Contains(says, row.says) {
			t.Errorf("%s: it says %q", row.id, says)
		}
		count := func() int { mu.Lock(); defer mu.Unlock(); return asked[row.id] }
		if row.again {
			await(t, nil, func() bool { return count() > 1 })
			p.becomes(t, row.id, "connection", "lost")
			p.click(t, card(row.id, ".stop"))
		} else if n := count(); n != 1 {
			t.Errorf("%s was watched %d times", row.id, n)
		}
	}
	// An outage is one line, however many attempts fail.
	if history := p.history(t, "a-proxys-pause"); len(history) != 3 {
		t.Errorf("the history of an outage is %q", history)
	}
}

// The page shows KooDrive's health only after a new answer: an earlier one may be outdated.
func TestConsoleClaimsNoHealth(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := newCable(t, s.url)
	site := c.Config.Handler
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ":watch") {
			site.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", ndjson)
		ago := time.Duration(0)
		if strings.Contains(r.URL.Path, "known-before") {
			ago = 200 * time.Second
		}
		id := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/tasks/"), ":watch")
		_, _ = io.WriteString(w, line(id, taskv1.TaskStatus_TASK_STATUS_EXECUTING, ago))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	p := openTab(t, c.URL)
	defer p.judge(t)
	p.watch(t, "any", "known-before", "known-now")
	p.sees(t, fmt.Sprintf(`document.querySelector(%q).innerText === 'KooDrive answers.'`, card("known-now", ".health")))
	p.becomes(t, "known-before", "state", "EXECUTING")
	if says := p.text(t, card("known-before", "")); strings.Contains(says, "answers") || !strings.Contains(says, "3 min ago") {
		t.Errorf("for an earlier answer the card shows %q", says)
	}
}
