package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/kootask/kootask/cmd/kootask/server"
)

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// Pages and documents match their descriptions, in full and as 304.
func TestPagesAreDescribed(t *testing.T) {
	bubble(t, func(c *server.Config) { c.Console = true }, func(t *testing.T, s *system) {
		for _, path := range []string{"/", "/docs", "/openapi.json"} {
			for _, encoding := range []string{"gzip", "identity"} {
				resp, _ := s.get(t, request(t.Context(), t, path, "Accept-Encoding", encoding))
				r := request(t.Context(), t, path, "Accept-Encoding", encoding)
				r.Method = http.MethodHead
				head, body := s.get(t, r)
				if body != "" || head.StatusCode != 200 || head.ContentLength != resp.ContentLength ||
					head.Header.Get("ETag") != resp.Header.Get("ETag") {
					t.Errorf("HEAD %s: HTTP %d, %v, %d bytes", path, head.StatusCode, head.Header, len(body))
				}
				again, _ := s.get(t, request(t.Context(), t, path, "Accept-Encoding", encoding, "If-None-Match", resp.Header.Get("ETag")))
				if resp.StatusCode != http.StatusOK || again.StatusCode != http.StatusNotModified {
					t.Errorf("%s: HTTP %d, %d", path, resp.StatusCode, again.StatusCode)
				}
				// Ranges and other conditions are ignored: the answer is the whole document.
				for _, header := range [][]string{{"Range", "bytes=0-9"}, {"Range", "bytes=99999999-"}, {"If-Match", `"other"`}, {"If-None-Match", `"other"`}} {
					if whole, _ := s.get(t, request(t.Context(), t, path, append(header, "Accept-Encoding", encoding)...)); whole.StatusCode != http.StatusOK {
						t.Errorf("%s with %q: HTTP %d", path, header, whole.StatusCode)
					}
				}
			}
		}
	})
}

// The description refuses answers that it must not allow.
func TestDescriptionAllowsNothingElse(t *testing.T) {
	const info = `{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "koodrive.task.v1", "reason": `
	const request = `{"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "1"}`
	const retry = `{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s"}`
	get := pointer("/paths").to("/v1/tasks/{task_id}", "get", "responses")
	for _, row := range []struct {
		status, body string
		allowed      bool
	}{
		{"200", `{}`, false},
		{"404", `{"code": 5, "message": "", "details": [` + info + `"TASK_NOT_FOUND"}, ` + request + `]}`, true},
		{"404", `{"code": 5, "message": "", "details": [` + info + `"TASK_NOT_FOUND"}]}`, false},
		{"404", `{"code": 5, "message": "", "details": [` + info + `"SERVER_ERROR"}, ` + request + `]}`, false},
		{"404", `{"code": 6, "message": "", "details": [` + info + `"TASK_NOT_FOUND"}, ` + request + `]}`, false},
		{"404", `{"code": 5, "message": "", "details": [` + info + `"TASK_NOT_FOUND"}, ` + request + `, {"@type": "other"}]}`, false},
		{"503", `{"code": 14, "message": "", "details": [` + info + `"SERVER_DRAINING"}, ` + request + `, ` + retry + `]}`, true},
		{"503", `{"code": 14, "message": "", "details": [` + info + `"SERVER_DRAINING"}, ` + request + `]}`, false},
		{"503", `{"code": 14, "message": "", "details": [` + info + `"SERVER_DRAINING"}, ` + request + `, ` + retry + `, ` + retry + `]}`, false},
		{"404", `{"code": 5, "message": "", "details": [` + info + `"TASK_NOT_FOUND"}, ` + request + `, ` + retry + `]}`, false},
		{"400", `{"code": 3, "message": "", "details": [` + info + `"REQUEST_INVALID"}, ` + request + `]}`, false},
		{"503", `{"code": 14, "message": "", "details": [` + info + `"SERVER_ERROR"}, ` + request + `, ` + retry + `]}`, false},
	} {
		var value any
		if err := json.Unmarshal([]byte(row.body), &value); err != nil {
			t.Fatal(err)
		}
		_, p := openAPI().at(get.to(row.status))
		if err := openAPI().validate(p.to("content", "application/json", "schema"), value); (err == nil) != row.allowed {
			t.Errorf("HTTP %s %s: %v", row.status, row.body, err)
		}
	}
	for _, bad := range []event{{name: "other", data: "{}"}, {name: "end", data: "[]"}, {name: "task", data: "{}"}, {name: "heartbeat", data: "{"}, {name: "heartbeat", id: "end", data: `{"failureCount": 0, "failureReason": "", "failingTaskIds": []}`}} {
		value := map[string]any{"event": bad.name, "data": bad.data}
		if bad.id != "" {
			value["id"] = bad.id
		}
		if openAPI().validate(pointer("/components/schemas/Event"), value) == nil {
			t.Errorf("%v is allowed", value)
		}
	}
}
