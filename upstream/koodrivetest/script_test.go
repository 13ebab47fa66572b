package koodrivetest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// script parses a file with a script.
func script(t *testing.T, path string) *koodrivetest.Script {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := koodrivetest.ParseScript(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return s
}

// everything returns a KooDrive with a script that uses every key there is, and its client.
func everything(t *testing.T) (*koodrivetest.KooDrive, client) {
	t.Helper()
	k := koodrivetest.New()
	c := serve(t, k)
	k.Apply(script(t, "testdata/everything.json"))
	return k, c
}

func TestScriptedCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, c := everything(t)
		k.SetFault(nil)
		get := func(authorization string) int {
			resp, _ := c.do(c.request("GET", taskPath+exampleID, "", "Authorization", authorization))
			return resp.StatusCode
		}
		if got := get("AT idle"); got != 200 {
			t.Errorf("in time: %d", got)
		}
		time.Sleep(20 * time.Minute)
		if got := get("AT idle"); got != 401 {
			t.Errorf("after 20 idle minutes: %d", got)
		}
		if got := get("Bearer lasting"); got != 200 {
			t.Errorf("a token without an end: %d", got)
		}
		if get("HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=0"); refusal(k) != "malformed X-Date" {
			t.Errorf("a known app: refused %q", refusal(k))
		}
		resp, _ := c.get(exampleID)
		if got, want := resp.Header.Get("Date"), time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat); got != want {
			t.Errorf("Date %q, want %q", got, want)
		}
	})
}

func TestScriptedTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := everything(t)
		const about = `,"taskType":1,"tenantId":"tenant","userId":"user","status":`
		for i, want := range []string{
			`{"taskId":"a task","taskName":"first"` + about + "0",
			`{"taskId":"a task","taskName":"second"` + about + "7",
			`{"taskId":"a task","taskName":"first"` + about + "7", // the status of the step before
			`{"taskId":"a task","taskName":"first"` + about + `3,"resultCode":"18000205"`,
		} {
			_, body := c.get("a%20task")
			if !strings.HasPrefix(body, want) || len(body) != 200 { // padded, as the fault for all requests says
				t.Errorf("answer %d: %s, want %s", i, body, want)
			}
			time.Sleep(time.Minute)
		}
		if got := []int64{c.status("by%20number"), c.status("by%20number")}; !slices.Equal(got, []int64{1, 2}) {
			t.Errorf("states %d", got)
		}
	})
}

func TestScriptedFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, c := everything(t)
		k.SetFault(nil)
		resp, body := c.get("answers")
		if resp.StatusCode != 503 || body != "wait" || resp.Header.Get("Retry-After") != "5" ||
			strings.Join(resp.Header["X-New"], "|") != "a|b" || resp.Header["Content-Type"] != nil {
			t.Errorf("got %s %s %v", resp.Status, body, resp.Header)
		}
		if _, body := c.get("answers"); body != `{"code":1.0,"code":[1,"成功 <&>"]}` {
			t.Errorf("json: got %s", body)
		}
		if _, body := c.get("answers"); !strings.HasPrefix(body, `{"taskId":"by number","status":1`) {
			t.Errorf("another task: got %s", body)
		}
		start := time.Now()
		if _, body := c.get("answers"); body != "1234  " || time.Since(start) != 7500*time.Millisecond {
			t.Errorf("slow: got %q after %v", body, time.Since(start))
		}
		if resp, body := c.get("answers"); resp.Header.Get("Content-Encoding") != "gzip" || len(body) > 100 {
			t.Errorf("gzip: got %v, %d bytes", resp.Header, len(body))
		}
		if err := c.fail(c.request("GET", taskPath+"truncates", "")); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("truncate: %v", err)
		}
		if err := c.fail(c.request("GET", taskPath+"resets", "")); !errors.Is(err, io.EOF) {
			t.Errorf("reset: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := c.fail(c.request("GET", taskPath+"hangs", "").WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hang: %v", err)
		}
	})
}

func TestApplyLeavesTheRest(t *testing.T) {
	k, c := everything(t)
	parse := func(text string) *koodrivetest.Script {
		s, err := koodrivetest.ParseScript([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	k.Apply(parse("{}"))
	if _, body := c.get("by%20number"); len(body) != 200 {
		t.Errorf("an empty script ended the fault: %s", body)
	}
	k.Apply(parse(`{"fault": {"status": 418}}`))
	if resp, _ := c.get("1"); resp.StatusCode != 418 {
		t.Errorf("another fault: %s", resp.Status)
	}
	k.SetFault(nil)
	k.Apply(parse(`{"tasks": [{"id": "by number", "steps": [{"status": 5}]}]}`))
	if got := c.status("by%20number"); got != 5 {
		t.Errorf("status of the replaced task %d", got)
	}
	if got := c.status(exampleID); got != koodrivetest.StatusFailed {
		t.Errorf("status of another %d", got)
	}
}
