package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with a file of testdata. The files pin a part that the contract's checks do not see: the form of answers over
// HTTP, on which clients depend as much.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("cmd/kootask/server/%s is out of date: if the change is intended, run go test ./cmd/kootask/server -run TestGolden -update; got\n%s\nwant\n%s", file, got, want)
	}
}

var changing = regexp.MustCompile(`"retryDelay":"[^"]*"|(?m)^(retry|Retry-After): .*$`)

// stable replaces the parts that differ from run to run: the random spaces of protojson, and random delays.
func stable(t *testing.T, text string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if at := strings.IndexByte(line, '{'); at >= 0 {
			var compact bytes.Buffer
			if err := json.Compact(&compact, []byte(line[at:])); err != nil {
				t.Fatalf("line %q: %v", line, err)
			}
			line = line[:at] + compact.String()
		}
		lines = append(lines, changing.ReplaceAllStringFunc(line, func(s string) string {
			name, _, _ := strings.Cut(s, ":")
			return name + ": (random)"
		}))
	}
	return strings.Join(lines, "\n") + "\n"
}

// dump is an HTTP exchange as a client sees it.
func dump(t *testing.T, resp *http.Response, body string) string {
	t.Helper()
	var header bytes.Buffer
	resp.Header.Del("Content-Length") // Depends on protojson's spaces.
	if err := resp.Header.Write(&header); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("HTTP %d\n%s\n%s", resp.StatusCode, strings.ReplaceAll(header.String(), "\r\n", "\n"), body)
}

func TestGoldenHTTP(t *testing.T) {
	run := []koodrivetest.Step{
		{Status: 0, Name: "x\r\n\r\nevent: end\ndata: {}\u2028\u2029\u0085"}, {Status: 1, Fault: &koodrivetest.Fault{Latency: 0}}, {Status: 2},
	}
	outage := []koodrivetest.Step{{Status: 1}, {Fault: koodrivetest.Answer(503, "")}, {Fault: koodrivetest.Answer(403, "")}}
	quiet := func(c *server.Config) { c.Service.Heartbeat = service.MaxHeartbeat } // Longer than the intervals of three polls, at random.
	for name, row := range map[string]struct {
		path   string
		header []string
		steps  []koodrivetest.Step
	}{
		"task.http":            {path: "/v1/tasks/" + exampleID},
		"watch-lines.http":     {path: "/v1/tasks/" + taskID + ":watch", steps: run},
		"watch-events.http":    {path: "/v1/tasks/" + taskID + ":watch", steps: run, header: []string{"Accept", "text/html, text/event-stream;q=0.1"}},
		"failure-lines.http":   {path: "/v1/tasks/" + taskID + ":watch", steps: outage},
		"failure-events.http":  {path: "/v1/tasks/" + taskID + ":watch", steps: outage, header: []string{"Accept", sse}},
		"reconnect.http":       {path: "/v1/tasks/" + taskID + ":watch", header: []string{"Accept", sse, "Last-Event-ID", "end"}},
		"reconnect-lines.http": {path: "/v1/tasks/" + exampleID + ":watch", header: []string{"Last-Event-ID", "end"}},
		"error.http":           {path: "/v1/tasks/unknown"},
		"error-watch.http":     {path: "/v1/tasks/unknown:watch", header: []string{"Accept", sse}},
		"error-retry.http":     {path: "/v1/tasks/" + taskID, steps: []koodrivetest.Step{{Fault: koodrivetest.Throttled("")}}},
		"error-language.http":  {path: "/v1/tasks/unknown", header: []string{"Language", "zh-CN"}},
		"lines-language.http":  {path: "/v1/tasks/" + taskID + ":watch", steps: outage, header: []string{"Language", "zh-CN"}},
		"events-language.http": {path: "/v1/tasks/" + taskID + ":watch", steps: outage, header: []string{"Accept", sse, "Language", "zh-CN"}},
		"error-request.http":   {path: "/v1/tasks/list?maxAge=1"},
		"error-route.http":     {path: "/v2"},
		"error-unlisted.http":  {path: "/v1/tasks/" + taskID, steps: []koodrivetest.Step{{Fault: koodrivetest.Answer(400, "")}}},
		"task-unlisted.http":   {path: "/v1/tasks/" + taskID, steps: []koodrivetest.Step{{Status: 7, ResultCode: "18000999"}}},
		"watch-as-error.http":  {path: "/v1/tasks/" + exampleID + ":watch?failedTaskAsError=true", header: []string{"Accept", sse}},
		"wait.http":            {path: "/v1/tasks/" + taskID + ":wait?timeout=0s", steps: run[2:]},
		"tasks-lines.http":     {path: "/v1/tasks:watch?taskIds=" + taskID, steps: run},
		"tasks-events.http":    {path: "/v1/tasks:watch?taskIds=" + taskID, steps: run, header: []string{"Accept", sse}},
		"dropped-lines.http":   {path: "/v1/tasks:watch?taskIds=unknown", header: []string{"Language", "zh-CN"}},
		"dropped-events.http":  {path: "/v1/tasks:watch?taskIds=unknown", header: []string{"Accept", sse}},
		"error-tasks.http":     {path: "/v1/tasks:watch?taskIds=list&taskIds=1"},
		"another-last-id.http": {path: "/v1/tasks/" + exampleID + ":watch", header: []string{"Accept", sse, "Last-Event-ID", "7"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, quiet, func(t *testing.T, s *system) {
				if row.steps != nil {
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: row.steps})
				}
				asked := s.koodrive.Count()
				resp, body := s.get(t, request(t.Context(), t, row.path, append(row.header, "X-Request-Id", "golden")...))
				// The clock of a bubble always starts at the same moment, but polls come at random intervals.
				text := stable(t, dump(t, resp, body))
				text = regexp.MustCompile(`2000-01-01T00:00:0([1-9][0-9.]*|0\.[0-9]+)Z`).ReplaceAllString(text, "(later)")
				golden(t, name, regexp.MustCompile(`(?m)^Date: .*$`).ReplaceAllString(text, "Date: (now)"))
				if name == "reconnect.http" && s.koodrive.Count() != asked {
					t.Error("KooDrive got a request")
				}
			})
		})
	}
}

func TestGoldenMetadata(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		var text strings.Builder
		show := func(name string, header, trailer metadata.MD) {
			fmt.Fprintf(&text, "%s\n  header %q\n  trailer %q\n", name, slices.Sorted(maps.Keys(header)), slices.Sorted(maps.Keys(trailer)))
		}
		ctx := as(t.Context(), token, "x-request-id", "golden")
		for _, id := range []string{exampleID, "unknown"} {
			var header, trailer metadata.MD
			_, _ = s.tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: id}, grpc.Header(&header), grpc.Trailer(&trailer))
			show("GetTask "+id, header, trailer)
			stream, err := s.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: id})
			for err == nil {
				_, err = stream.Recv()
			}
			header, _ = stream.Header()
			show("WatchTask "+id, header, stream.Trailer())
		}
		golden(t, "metadata.txt", text.String())
	})
}

// The routes are the routes of the contract's REST mapping.
func TestRoutesAreThoseOfTheContract(t *testing.T) {
	mapping, err := os.ReadFile("../../../proto/koodrive/task/v1/task_gateway.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, m := range regexp.MustCompile(`(?m)^ +get: (.*)$`).FindAllStringSubmatch(string(mapping), -1) {
		paths = append(paths, m[1])
	}
	if len(paths) < 2 {
		t.Errorf("mapping %q", paths)
	}
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, path := range paths {
			if !strings.Contains(path, "{task_id}") {
				path += "?taskIds=" + exampleID
			}
			if resp, _ := s.get(t, request(t.Context(), t, strings.Replace(path, "{task_id}", exampleID, 1))); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: HTTP %d", path, resp.StatusCode)
			}
		}
	})
}
