package main

import (
	"cmp"
	"io"
	"net/http"
	"slices"
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
	return lineOf(&taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Task{Task: &taskv1.Task{
		TaskId: id, TaskName: "handover of a user's files", Status: status, KoodriveStatus: new(int32(status - 1)), Done: done, ObserveTime: timestamppb.New(time.Now().Add(-ago)),
	}}})
}

// lineOf is the line of an event.
func lineOf(event *taskv1.WatchTasksResponse) string {
	data, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(event)
	if err != nil {
		panic(err)
	}
	return string(data) + "\n"
}

// oddStream is an answer to a watch.
type oddStream struct {
	id, contentType string
	status          int
	body            func(id string) string
	watch, state    string // Expected cells of the row.
	says            string // An expected text in the row or the details.
	again           bool   // Whether the page watches again.
}

// For every kind of answer to a watch, the page does the same as the other clients.
func TestConsoleOddStreams(t *testing.T) {
	t.Parallel()
	const executing, success = taskv1.TaskStatus_TASK_STATUS_EXECUTING, taskv1.TaskStatus_TASK_STATUS_SUCCESS
	ndjsonAlso := ndjson + "; charset=utf-8"
	const lost, failed = "Interrupted. Retrying in ", "Ended: "
	rows := []oddStream{
		{id: "finished-and-cut", body: func(id string) string { return line(id, success, 0) }, watch: "Finished", state: "SUCCESS"},
		{id: "blank-and-newer", contentType: ndjsonAlso, body: func(id string) string {
			return "\n{}\n{\"newer\":[1]}\nnull\n" + line(id, executing, 0) + "\r\n" + line(id, success, 0) + `{"end":{}}` + "\n"
		}, watch: "Finished", state: "SUCCESS"},
		{id: "a-newer-type", body: func(id string) string {
			return strings.Replace(line(id, success, 0), `"TASK_TYPE_UNSPECIFIED"`, `"TASK_TYPE_OF_TOMORROW","koodriveTaskType":9`, 1)
		}, watch: "Finished", state: "SUCCESS", says: "unlisted: 9"},
		{id: "cut-in-a-line", body: func(id string) string { return line(id, executing, 0) + `{"task":{"taskId"` }, watch: lost, state: "EXECUTING", says: "EXECUTING", again: true},
		{id: "a-page-about-a-pause", contentType: "text/html", body: func(string) string { return "<p>Back soon.</p>" }, watch: lost, state: "Not known yet", again: true},
		{id: "a-way-to-sign-in", status: http.StatusFound, watch: failed, state: "Not known yet", says: "Sign in again"},
		{id: "a-proxys-error", status: http.StatusForbidden, contentType: "text/html", body: func(string) string { return "<p>No.</p>" }, watch: failed, state: "Not known yet", says: "with status 403"},
		{id: "a-proxys-pause", status: http.StatusBadGateway, contentType: "text/html", body: func(string) string { return "<p>Later.</p>" }, watch: lost, state: "Not known yet", again: true},
	}
	s := newSite(t, nil)
	var mu sync.Mutex
	asked := map[string]int{}
	c := newStub(t, s.url, func(w http.ResponseWriter, _ *http.Request, ids []string) {
		row := rows[slices.IndexFunc(rows, func(r oddStream) bool { return r.id == ids[0] })]
		mu.Lock()
		asked[row.id]++
		mu.Unlock()
		w.Header().Set("Content-Type", cmp.Or(row.contentType, ndjson))
		w.Header().Set("Location", "/sign-in")
		w.WriteHeader(cmp.Or(row.status, http.StatusOK))
		if row.body != nil {
			_, _ = io.WriteString(w, row.body(row.id))
		}
	})
	p := openTab(t, c.URL)
	defer p.judge(t)
	p.expects(`^log: network: .* 403 .*a-proxys-error`)
	p.expects(`^log: network: .* 502 .*a-proxys-pause`)
	for _, row := range rows {
		p.watch(t, "any-"+row.id, row.id) // With a stream of its own.
		p.becomes(t, row.id, inWatch, row.watch)
		p.becomes(t, row.id, inStatus, row.state)
		if says := p.text(t, "tbody tr") + p.details(t, row.id); !strings.Contains(says, row.says) {
			t.Errorf("%s: it says %q", row.id, says)
		}
		count := func() int { mu.Lock(); defer mu.Unlock(); return asked[row.id] }
		if row.again {
			await(t, nil, func() bool { return count() > 2 }) // The page has heard of two failures.
			p.becomes(t, row.id, inWatch, lost)
			p.push(t, byRole("button", "Stop watching "+row.id))
			p.becomes(t, row.id, inWatch, "Stopped")
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
	c := newStub(t, s.url, func(w http.ResponseWriter, r *http.Request, ids []string) {
		w.Header().Set("Content-Type", ndjson)
		for _, id := range ids {
			ago := map[string]time.Duration{"known-before": 200 * time.Second}[id]
			_, _ = io.WriteString(w, line(id, taskv1.TaskStatus_TASK_STATUS_EXECUTING, ago))
		}
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	p := openTab(t, c.URL)
	defer p.judge(t)
	p.watch(t, "any", "known-before", "known-now")
	p.becomes(t, "known-before", inStatus, "EXECUTING")
	p.details(t, "known-now")
	p.sees(t, byRole("region", "Task known-now")+`.innerText.includes('KooDrive answers.')`)
	if says := p.details(t, "known-before"); strings.Contains(says, "answers") {
		t.Errorf("for an earlier answer the details say %q", says)
	}
	p.becomes(t, "known-before", "Confirmed", "3 min ago")
}
