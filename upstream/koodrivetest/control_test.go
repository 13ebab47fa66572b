package koodrivetest_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// ask sends a request to the control.
func ask(k *koodrivetest.KooDrive, method, path, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	k.Control().ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w
}

func TestControl(t *testing.T) {
	const oneStep = `{"steps": [{"status": "EXECUTING"}]}`
	large := strings.Repeat(" ", 1<<20)
	for _, tt := range []struct {
		method, path, body string
		status             int
		want               string // the whole answer, unless it is empty
	}{
		{"PUT", "/simulate/script", "{}", 204, ""},
		{"PUT", "/simulate/script", large[2:] + "{}", 204, ""},
		{"PUT", "/simulate/script", large + "{}", 413, "the body has more than 1 MiB\n"},
		{"PUT", "/simulate/script", "", 400, "line 1: unexpected EOF\n"},
		{"PUT", "/simulate/script", "{\n\"a\": 1}", 400, "line 2: /a: unknown object member name\n"},
		{"GET", "/simulate/script", "", 405, ""},
		{"PUT", "/simulate/tasks/7", oneStep, 204, ""},
		{"PUT", "/simulate/tasks/a%2Fb", `{"id": "a/b",` + oneStep[1:], 204, ""},
		{"PUT", "/simulate/tasks/7", `{"id": "8",` + oneStep[1:], 400, "/id: \"8\" is not \"7\", the id in the URL\n"},
		{"PUT", "/simulate/tasks/7", "{}", 400, "line 1: /steps: is missing\n"},
		{"PUT", "/simulate/tasks/7", "{\"steps\": [\n{\"for\": \"x\"}]}", 400, "line 2: /steps/0/for: \"x\" is not a duration such as \"1.5s\"\n"},
		{"POST", "/simulate/tasks/7", oneStep, 405, ""},
		{"PUT", "/simulate/tasks/", oneStep, 404, ""},
		{"DELETE", "/simulate/tasks/7", "", 204, ""},
		{"PUT", "/simulate/fault", `{"status": 500}`, 204, ""},
		{"PUT", "/simulate/fault", `{"status": "500"}`, 400, "line 1: /status: must be a 64-bit integer\n"},
		{"PUT", "/simulate/fault", "{}{}", 400, "line 1: invalid character '{' after top-level value\n"},
		{"DELETE", "/simulate/fault", "", 204, ""},
		{"GET", "/simulate/fault", "", 405, ""},
		{"GET", "/simulate/requests", "", 200, "[]\n"},
		{"DELETE", "/simulate/requests", "", 204, ""},
		{"PUT", "/simulate/requests", "", 405, ""},
		{"HEAD", "/simulate/", "", 200, ""},
		{"DELETE", "/simulate/", "", 405, ""},
		{"GET", "/simulate/elsewhere", "", 404, ""},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			k := koodrivetest.New()
			w := ask(k, tt.method, tt.path, tt.body)
			if w.Code != tt.status || tt.want != "" && w.Body.String() != tt.want {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.status, tt.want)
			}
			if allow := w.Header().Get("Allow"); (w.Code == 405) != (allow != "") || strings.Contains(allow, tt.method) {
				t.Errorf("%d, Allow: %s", w.Code, allow)
			}
			if w.Code >= 400 && w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
				t.Errorf("%s", w.Header().Get("Content-Type"))
			}
			if k.Count() != 0 {
				t.Error("the request is in the log")
			}
		})
	}
}

func TestControlChangesTheAnswers(t *testing.T) {
	k := koodrivetest.New()
	c := serve(t, k)
	ask(k, "PUT", "/simulate/tasks/7", `{"steps": [{"status": "EXECUTING"}]}`)
	ask(k, "PUT", "/simulate/tasks/7%2F8", `{"steps": [{"status": 9}]}`)
	ask(k, "PUT", "/simulate/script", `{"tokens": [{"token": "new"}], "tasks": [{"id": "9", "steps": [{"status": 5}]}]}`)
	if got := []int64{c.status("7"), c.status("7%2F8"), c.status("9")}; got[0] != 1 || got[1] != 9 || got[2] != 5 {
		t.Errorf("states %d", got)
	}
	if resp, _ := c.do(c.request("GET", taskPath+"7", "", "Authorization", "Bearer new")); resp.StatusCode != 200 {
		t.Errorf("the new token: %s", resp.Status)
	}
	ask(k, "PUT", "/simulate/tasks/7", `{"steps": [{"status": "NEW"}], "name": 1}`)
	if got := c.status("7"); got != 1 {
		t.Errorf("a bad task changed the status to %d", got)
	}
	ask(k, "DELETE", "/simulate/tasks/7", "")
	if resp, _ := c.get("7"); resp.StatusCode != 400 {
		t.Errorf("a task that was deleted: %s", resp.Status)
	}
	ask(k, "PUT", "/simulate/fault", `{"status": 418}`)
	if resp, _ := c.get("9"); resp.StatusCode != 418 {
		t.Errorf("with a fault: %s", resp.Status)
	}
	ask(k, "DELETE", "/simulate/fault", "")
	if got := c.status("9"); got != 5 {
		t.Errorf("after the fault: status %d", got)
	}
}

func TestControlShowsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.SetTask(koodrivetest.Task{ID: "1", Steps: []koodrivetest.Step{{}, {Fault: &koodrivetest.Fault{Latency: time.Second}}}})
		c := serve(t, k)
		c.do(c.request("GET", taskPath+"1?a=%20", "", "Authorization", "Bearer other", "User-Agent", "test"))
		c.do(c.request("GET", taskPath+"1", "", "User-Agent", "test"))
		go c.do(c.request("GET", taskPath+"1", "", "User-Agent", "test"))
		synctest.Wait()
		w := ask(k, "GET", "/simulate/requests", "")
		const begin = `{"received":"2000-01-01T00:00:00Z",`
		entry := func(ended, path, credential, end string) string {
			return begin + ended + `"method":"GET","host":"koodrive.test","path":"/koodrive/ose/v1/task/` + path +
				`","header":{"Authorization":["` + credential + `"],"User-Agent":["test"]},"taskId":"1",` + end
		}
		// printf 'Bearer test' | sha256sum | cut -c1-8
		want := "[" + entry(`"ended":"2000-01-01T00:00:00Z",`, `1?a=%20`, "8f1b232a",
			`"refused":"unknown token","status":401,"inFlight":1}`) + "," +
			entry(`"ended":"2000-01-01T00:00:00Z",`, "1", "e47800f0", `"status":200,"inFlight":1}`) + "," +
			entry("", "1", "e47800f0", `"status":0,"inFlight":1}`) + "]\n"
		if got := w.Body.String(); got != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := k.Requests()[0].Header.Get("Authorization"); got != "Bearer other" {
			t.Errorf("the log itself has %q", got)
		}
		ask(k, "DELETE", "/simulate/requests", "")
		time.Sleep(time.Second) // the request that was being answered ends
		if got := k.Requests(); len(got) != 0 || k.Count() != 3 {
			t.Errorf("after forgetting: %d requests, count %d", len(got), k.Count())
		}
		c.get("1")
		if got := k.Requests(); len(got) != 1 || got[0].InFlight != 1 || k.Count() != 4 {
			t.Errorf("one more: %+v, count %d", got, k.Count())
		}
	})
}

func TestControlHelp(t *testing.T) {
	help := ask(koodrivetest.New(), "GET", "/simulate/", "").Body.String()
	if got := strings.Count(help, "\n"); got != 8 {
		t.Errorf("%d lines:\n%s", got, help)
	}
	for line := range strings.Lines(help) {
		var method, path string
		if _, err := fmt.Sscan(line, &method, &path); err != nil {
			t.Fatal(err)
		}
		if w := ask(koodrivetest.New(), method, path, "{}"); w.Code == 404 || w.Code == 405 {
			t.Errorf("%s: %d", line, w.Code)
		}
	}
}

func TestControlLogIsAnArray(t *testing.T) {
	k := koodrivetest.New()
	c := serve(t, k)
	for range 3 {
		c.get("1")
	}
	var list []struct{ TaskID string }
	if err := json.Unmarshal(ask(k, "GET", "/simulate/requests", "").Body.Bytes(), &list); err != nil || len(list) != 3 {
		t.Errorf("%d requests, %v", len(list), err)
	}
}
