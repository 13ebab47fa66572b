package server_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// Of all headers that a client sends, only those of a fixed list reach KooDrive, and only those of another return to the caller.
func TestHeadersThatPass(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		junk := []string{
			"X-AIUser-Id", "7", "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4", "X-Real-Ip", "1.2.3.4", "Grpc-Metadata-Foo", "bar",
			"Content-Type", "text/plain", "Range", "bytes=0-1", "If-None-Match", "*",
		}
		for i := range 200 {
			junk = append(junk, "X-Junk-"+strconv.Itoa(i), "junk")
		}
		allowed := []string{"X-User-Id", "42", "X-Date", "20240831T143829Z", "Language", "zh_CN", "Traceparent", traceParent, "X-Request-Id", "mine"}
		want := []string{"Accept", "Accept-Encoding", "Authorization", "Language", "User-Agent", "X-Traceid", "X-User-Id"}

		resp, _ := s.get(t, request(t.Context(), t, "/v1/tasks/"+exampleID, append(junk, allowed...)...))
		if got := slices.Sorted(maps.Keys(resp.Header)); !slices.Equal(got, []string{
			"Cache-Control", "Content-Length", "Content-Type", "Date", "Vary", "X-Content-Type-Options", "X-Request-Id",
		}) {
			t.Errorf("the caller got %v", got)
		}
		var pairs []string
		for i := 0; i < len(junk); i += 2 {
			if name := strings.ToLower(junk[i]); name != "content-type" {
				pairs = append(pairs, name, junk[i+1])
			}
		}
		for i := 0; i < len(allowed); i += 2 {
			pairs = append(pairs, strings.ToLower(allowed[i]), allowed[i+1])
		}
		pairs = append(pairs, "x-data-bin", "\x00\xff")
		var header, trailer metadata.MD
		_, err := s.tasks.GetTask(as(t.Context(), token, pairs...), &taskv1.GetTaskRequest{TaskId: exampleID, MaxAge: noAge},
			grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(header)); !slices.Equal(got, []string{"content-type", "x-request-id"}) || len(trailer) != 0 {
			t.Errorf("the caller got %v, and trailers %v", header, trailer)
		}
		requests := s.koodrive.Requests()
		if len(requests) != 2 {
			t.Fatalf("KooDrive got %d requests", len(requests))
		}
		for _, r := range requests {
			if got := slices.Sorted(maps.Keys(r.Header)); !slices.Equal(got, want) {
				t.Errorf("KooDrive got %v, want %v", got, want)
			}
			if r.Header.Get("Language") != "zh-CN" || r.Header.Get("X-User-Id") != "42" ||
				!strings.HasPrefix(r.Header.Get("X-Traceid"), "4bf92f3577b34da6a3ce929d0e0e4736_") {
				t.Errorf("KooDrive got %v", r.Header)
			}
		}
	})
}

// KooDrive gets the trace of a call. A poll, which serves many watches, has a trace of its own.
func TestTraces(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		ctx := as(t.Context(), token, "traceparent", traceParent)
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(0, 1, 2)})
		stream, err := s.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: taskID})
		for err == nil {
			_, err = stream.Recv()
		}
		if _, err := s.tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for i, r := range s.koodrive.Requests() {
			id := r.Header.Get("X-Traceid")[:32]
			if seen[id] || (id == "4bf92f3577b34da6a3ce929d0e0e4736") != (i == 3) {
				t.Errorf("request %d has trace %s", i, id)
			}
			seen[id] = true
		}
	})
}

// Invalid tracing headers fail no call: they are replaced.
func TestTracingFailsNothing(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, bad := range [][]string{
			{"traceparent", "nonsense"},
			{"traceparent", traceParent, "traceparent", traceParent},
			{"traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"},
			{"x-request-id", "a b"},
			{"x-request-id", "a", "x-request-id", "b"},
			{"x-request-id", strings.Repeat("x", 65)},
			{"tracestate", strings.Repeat("x", 5000)},
			{"traceparent", traceParent + strings.Repeat("-x", 5000)},
		} {
			resp, _ := s.get(t, request(t.Context(), t, "/v1/tasks/"+exampleID, bad...))
			if id := resp.Header.Get("X-Request-Id"); resp.StatusCode != http.StatusOK || len(id) != 32 {
				t.Errorf("%q: HTTP %d, request id %q", bad, resp.StatusCode, id)
			}
			var header metadata.MD
			if _, err := s.tasks.GetTask(as(t.Context(), token, bad...), &taskv1.GetTaskRequest{TaskId: exampleID}, grpc.Header(&header)); err != nil ||
				len(header.Get("x-request-id")) != 1 || len(header.Get("x-request-id")[0]) != 32 {
				t.Errorf("%q: %v, request id %q", bad, err, header.Get("x-request-id"))
			}
		}
	})
}

// A header that is not read may be as long as any header.
func TestLongHeadersThatAreNotRead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		long := strings.Repeat("x", rpcserver.MaxHeader-500)
		for _, header := range []string{"X-Forwarded-For", "X-Forwarded-Host", "Traceparent", "Tracestate", "X-Request-Id", "Cookie"} {
			if resp, body := s.get(t, request(t.Context(), t, "/v1/tasks/"+exampleID, header, long)); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: HTTP %d, %s", header, resp.StatusCode, body)
			}
		}
		r := request(t.Context(), t, "/v1/tasks/"+exampleID)
		r.Host = long
		if resp, body := s.get(t, r); resp.StatusCode != http.StatusOK {
			t.Errorf("Host: HTTP %d, %s", resp.StatusCode, body)
		}
	})
}

// The request id returns as a header of an answer, and as a trailer of a failure. A failure has no header at all, which makes it
// one that clients may retry.
func TestRequestID(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		var header, trailer metadata.MD
		ctx := as(t.Context(), token, "x-request-id", "mine")
		if _, err := s.tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: exampleID}, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(header.Get("x-request-id"), []string{"mine"}) || len(trailer) != 0 {
			t.Errorf("header %v, trailer %v", header, trailer)
		}
		stream, err := s.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: exampleID})
		if err != nil {
			t.Fatal(err)
		}
		if header, err := stream.Header(); err != nil || !slices.Equal(header.Get("x-request-id"), []string{"mine"}) {
			t.Errorf("header %v, %v", header, err)
		}
		for err == nil {
			_, err = stream.Recv()
		}
		for _, door := range doors {
			v := s.fail(t.Context(), t, door, call{id: "unknown", header: append([]string{"x-request-id", "mine"}, bearer...)})
			if v.requestID != "mine" {
				t.Errorf("%s: RequestInfo has %q", door, v.requestID)
			}
			if v.http == 0 && !slices.Equal(v.trailer.Get("x-request-id"), []string{"mine"}) {
				t.Errorf("%s: trailers %v", door, v.trailer)
			}
		}
	})
}

// A failure before the first message is visible to gRPC's own retries: a client with a retry policy makes all its attempts.
func TestFailuresAreTrailersOnly(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetFault(koodrivetest.Answer(http.StatusServiceUnavailable, ""))
		policy := `{"methodConfig": [{"name": [{"service": "koodrive.task.v1.TaskService"}], "retryPolicy": {"maxAttempts": 4,
			"initialBackoff": "0.1s", "maxBackoff": "0.1s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
		tasks := taskv1.NewTaskServiceClient(s.dial(t, grpc.WithDefaultServiceConfig(policy)))
		if _, err := tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID}); err == nil {
			t.Error("no error")
		}
		if n := s.koodrive.Count(); n != 8 { // The server tries each one twice.
			t.Errorf("unary: %d attempts", n)
		}
		stream, err := tasks.WatchTask(as(t.Context(), token), &taskv1.WatchTaskRequest{TaskId: taskID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err == nil {
			t.Error("no error")
		}
		if n := s.koodrive.Count(); n != 12 {
			t.Errorf("watch: %d attempts", n-8)
		}
	})
}

func TestOneLogLinePerCall(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1, 2)})
		if _, err := s.tasks.GetTask(as(t.Context(), token, "x-request-id", "one"), &taskv1.GetTaskRequest{TaskId: exampleID}); err != nil {
			t.Fatal(err)
		}
		s.fail(t.Context(), t, "grpc get", call{id: "unknown", header: append([]string{"x-request-id", "two"}, bearer...)})
		s.fail(t.Context(), t, "grpc watch", call{id: "list", header: append([]string{"x-request-id", "three"}, bearer...)})
		s.watch(t.Context(), t, ndjson, taskID)

		type line struct {
			Msg, Level, Port, Method, Code, Reason, Outcome, Credential string
			TaskID                                                      string  `json:"task_id"`
			RequestID                                                   string  `json:"request_id"`
			Seconds                                                     float64 `json:"seconds"`
		}
		var lines []line
		for text := range strings.Lines(s.calls()) {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				t.Fatalf("line %q: %v", text, err)
			}
			if l.Credential == "" || strings.Contains(text, token) || !strings.Contains(text, `"peer":"192.0.2.1"`) {
				t.Errorf("line %q", text)
			}
			lines = append(lines, l)
		}
		if len(lines) != 4 {
			t.Fatalf("%d lines:\n%s", len(lines), s.log)
		}
		fingerprint, id := lines[0].Credential, lines[3].RequestID
		get, watch := taskv1.TaskService_GetTask_FullMethodName, taskv1.TaskService_WatchTask_FullMethodName
		for i, want := range []line{
			{"call", "INFO", "grpc", get, "OK", "", "", fingerprint, exampleID, "one", 0},
			{"call", "WARN", "grpc", get, "NotFound", "TASK_NOT_FOUND", "TASK_NOT_FOUND", fingerprint, "unknown", "two", 0},
			{"call", "WARN", "grpc", watch, "InvalidArgument", "REQUEST_INVALID", "TASK_ID_INVALID", fingerprint, "list", "three", 0},
			{"call", "INFO", "http", watch, "OK", "", "", fingerprint, taskID, id, 1},
		} {
			if want.Seconds > 0 && lines[i].Seconds >= 0.8 { // A watch's line is written when it ends.
				lines[i].Seconds = want.Seconds
			}
			if lines[i] != want {
				t.Errorf("line %d: %+v, want %+v", i, lines[i], want)
			}
		}
	})
}

// Only answers that are the same for everybody are compressed. Answers about tasks and streams are not, so that each event
// arrives at once.
func TestCompression(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		_, plain := s.get(t, request(t.Context(), t, "/openapi.json", "Accept-Encoding", "identity"))
		resp, packed := s.get(t, request(t.Context(), t, "/openapi.json", "Accept-Encoding", "gzip"))
		r, err := gzip.NewReader(strings.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		unpacked, err := io.ReadAll(r)
		if err != nil || string(unpacked) != plain || len(packed) > len(plain)/2 || !slices.Contains(resp.Header.Values("Vary"), "Accept-Encoding") {
			t.Errorf("%d bytes became %d: %v, %v", len(plain), len(packed), err, resp.Header)
		}
		for i, accept := range []string{"", ndjson, sse} {
			id := fmt.Sprint(taskID, i)
			s.koodrive.SetTask(koodrivetest.Task{ID: id, Name: strings.Repeat("x", 8<<10), Steps: steps(0, 1, 2)})
			path := "/v1/tasks/" + id
			if accept != "" {
				path += ":watch"
			}
			resp, err := s.http.Do(request(t.Context(), t, path, "Accept", accept, "Accept-Encoding", "gzip, zstd"))
			if err != nil {
				t.Fatal(err)
			}
			if resp.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s is compressed", path)
			}
			if accept != "" {
				var at []time.Duration
				parse(t, accept, resp.Body, func(e event) { at = append(at, e.at.Round(time.Second/2)) })
				if len(at) != 4 || at[1] == at[0] || at[2] == at[1] {
					t.Errorf("%s: events came at %v", accept, at)
				}
			}
			_ = resp.Body.Close()
		}
	})
}
