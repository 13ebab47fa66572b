package server_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// blankBody is an empty body of unknown length. Over HTTP/2 it is an empty DATA frame.
type blankBody struct{ io.Reader }

func (blankBody) Close() error { return nil }

// An empty body is accepted, however it is announced. A body with bytes, or one that does not end within 1 s, is refused. A
// connection that had an empty body serves the next request.
func TestEmptyBodies(t *testing.T) {
	head := func(method, path string, header ...string) string {
		lines := append([]string{method + " " + path + " HTTP/1.1", "Host: kootask.test", "Authorization: Bearer " + token}, header...)
		return strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	const chunked = "Transfer-Encoding: chunked"
	for _, path := range []string{
		"/v1/tasks/" + taskID, "/v1/tasks/" + taskID + ":watch", "/v1/tasks/" + taskID + ":wait", "/v1/tasks/" + taskID + ":ticket",
		listPath(":watch", []string{taskID}), listPath(":ticket", []string{taskID}), "/openapi.json",
	} {
		method := "GET"
		if strings.Contains(path, ":ticket") {
			method = "POST"
		}
		for name, row := range map[string]struct {
			text string
			want string
		}{
			"no chunk":           {head(method, path, chunked) + "0\r\n\r\n", "200"},
			"a trailer":          {head(method, path, chunked) + "0\r\nX-A: b\r\n\r\n", "200"},
			"length 0":           {head(method, path, "Content-Length: 0"), "200"},
			"a chunk":            {head(method, path, chunked) + "1\r\na\r\n0\r\n\r\n", "400"},
			"a length":           {head(method, path, "Content-Length: 1") + "a", "400"},
			"no end":             {head(method, path, chunked), "400"},
			"not even the bytes": {head(method, path, "Content-Length: 1"), "400"},
		} {
			t.Run(method+" "+path+", "+name, func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, s *system) {
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
					want := row.want
					if path == "/openapi.json" { // A request for a static file may have a body.
						want = "200"
					}
					start := time.Now()
					conn, err := s.httpPort.Dial(t.Context(), "", "")
					if err != nil {
						t.Fatal(err)
					}
					defer conn.Close()
					_, _ = io.WriteString(conn, row.text)
					answers := bufio.NewReader(conn)
					resp, err := http.ReadResponse(answers, nil)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.ReadAll(resp.Body)
					if took := time.Since(start); !strings.HasPrefix(resp.Status, want) || took > 2*time.Second {
						t.Errorf("HTTP %s after %v, want %s", resp.Status, took, want)
					}
					if row.want == "400" {
						return
					}
					time.Sleep(2 * time.Second) // Longer than a body may take.
					_, _ = io.WriteString(conn, head("GET", "/v1/tasks/"+taskID))
					if again, err := http.ReadResponse(answers, nil); err != nil || again.StatusCode != http.StatusOK {
						t.Errorf("the next request: %v, %v", again, err)
					}
				})
			})
		}
	}
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1, 2)})
		h2c(s.http)
		for body, want := range map[string]int{"": http.StatusOK, "a": http.StatusBadRequest} {
			for _, suffix := range []string{"", ":watch"} {
				ctx, cancel := context.WithCancel(t.Context())
				r := request(ctx, t, "/v1/tasks/"+taskID+suffix)
				r.Body = blankBody{strings.NewReader(body)}
				resp, text := s.get(t, r)
				if resp.StatusCode != want || resp.ProtoMajor != 2 {
					t.Errorf("%s over HTTP/2 with %q: %s %s: %s", suffix, body, resp.Proto, resp.Status, text)
				}
				cancel()
				synctest.Wait()
			}
		}
	})
}
