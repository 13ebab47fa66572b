package koodrivetest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// faulty returns a KooDrive whose task "1" always has this fault.
func faulty(f *koodrivetest.Fault) *koodrivetest.KooDrive {
	k := koodrivetest.New()
	k.SetTask(koodrivetest.Task{ID: "1", Steps: []koodrivetest.Step{{Fault: f}}})
	return k
}

const plainBody = `{"taskId":"1","status":0,"code":0,"msg":"成功"}`

func TestAnswers(t *testing.T) {
	redirect := koodrivetest.RedirectTo("http://elsewhere.test/")
	redirect.Status = http.StatusTemporaryRedirect
	for _, tt := range []struct {
		name   string
		fault  *koodrivetest.Fault
		status int
		header http.Header // a part of it
		body   string      // a part of it, unless it is empty
	}{
		{"none", nil, 200, nil, plainBody},
		{"zero", &koodrivetest.Fault{}, 200, nil, plainBody},
		{"status", &koodrivetest.Fault{Status: 500}, 500, nil, plainBody},
		{"no content", &koodrivetest.Fault{Status: 204}, 204, nil, ""},
		{"empty body", &koodrivetest.Fault{Body: new("")}, 200, http.Header{"Content-Length": {"0"}}, ""},
		{"answer", koodrivetest.Answer(502, "<html>"), 502,
			http.Header{"Content-Type": {"application/json;charset=UTF-8"}}, "<html>"},
		{"redirect", koodrivetest.RedirectTo("/x"), 302, http.Header{"Location": {"/x"}}, ""},
		{"redirect 307", redirect, 307, http.Header{"Location": {"http://elsewhere.test/"}}, ""},
		{"throttled", koodrivetest.Throttled("7"), 429, http.Header{"Retry-After": {"7"}}, "APIGW.0308"},
		{"throttled without advice", koodrivetest.Throttled(""), 429, http.Header{"Retry-After": nil}, "APIGW.0308"},
		{"header", &koodrivetest.Fault{
			Header: http.Header{"content-type": {"text/html"}, "Date": nil, "X-New": {"a", "b"}},
		}, 200, http.Header{"Content-Type": {"text/html"}, "Date": nil, "X-New": {"a", "b"}}, plainBody},
		{"another task", &koodrivetest.Fault{TaskID: exampleID}, 200, nil,
			`{"taskId":"` + exampleID + `","taskName":"lym`},
		{"another id", &koodrivetest.Fault{TaskID: "2"}, 200, nil, `{"taskId":"2","status":0,`},
		{"pad", &koodrivetest.Fault{Pad: 1 << 20}, 200, http.Header{"Content-Length": {"1048576"}}, "成功\"     "},
		{"pad of less", &koodrivetest.Fault{Pad: 3}, 200, nil, plainBody},
		{"pad of text", &koodrivetest.Fault{Body: new("a"), Pad: 3}, 200, nil, "a  "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := serve(t, faulty(tt.fault)).get("1")
			if resp.StatusCode != tt.status {
				t.Errorf("got %s, want %d", resp.Status, tt.status)
			}
			if !strings.Contains(body, tt.body) || tt.body == "" && body != "" {
				t.Errorf("got body %.200s, want %s", body, tt.body)
			}
			for name, want := range tt.header {
				if got := resp.Header[name]; strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestPadKeepsJSON(t *testing.T) {
	_, body := serve(t, faulty(&koodrivetest.Fault{Pad: 100})).get("1")
	rest, ok := strings.CutPrefix(body, strings.TrimSuffix(plainBody, "}"))
	if !ok || len(body) != 100 || strings.TrimLeft(rest, " ") != "}" {
		t.Errorf("got %d bytes: %s", len(body), body)
	}
}

func TestGzip(t *testing.T) {
	for coding, header := range map[string]http.Header{"gzip": nil, "x-gzip": {"Content-Encoding": {"x-gzip"}}} {
		t.Run(coding, func(t *testing.T) {
			resp, body := serve(t, faulty(&koodrivetest.Fault{Gzip: true, Pad: 1 << 20, Header: header})).get("1")
			if resp.Header.Get("Content-Encoding") != coding || len(body) > 10<<10 {
				t.Fatalf("%d bytes of %q", len(body), resp.Header.Get("Content-Encoding"))
			}
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(z); err != nil || len(b) != 1<<20 || !bytes.HasPrefix(b, []byte(`{"taskId":"1"`)) {
				t.Errorf("%d bytes, %v", len(b), err)
			}
		})
	}
}

func TestSlowAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		fault *koodrivetest.Fault
		want  time.Duration
	}{
		"latency": {&koodrivetest.Fault{Latency: 3 * time.Second}, 3 * time.Second},
		"drip":    {&koodrivetest.Fault{Drip: time.Second, Body: new("four")}, 4 * time.Second},
		"both":    {&koodrivetest.Fault{Latency: 3 * time.Second, Drip: time.Second, Body: new("four")}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := faulty(tt.fault)
				c := serve(t, k)
				start := time.Now()
				resp, _ := c.get("1")
				if took := time.Since(start); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
				begun := start.Add(tt.fault.Latency).UTC().Format(http.TimeFormat)
				if got := resp.Header.Get("Date"); got != begun {
					t.Errorf("Date %q, want %q", got, begun)
				}
			})
		})
	}
}

func TestClientGone(t *testing.T) {
	for name, f := range map[string]*koodrivetest.Fault{
		"hang":    {Hang: true},
		"latency": {Latency: time.Hour},
		"drip":    {Drip: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := faulty(f)
				c := serve(t, k)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c.fail(c.request("GET", taskPath+"1", "").WithContext(ctx))
				synctest.Wait()
				got := k.Requests()[0]
				if took := got.Ended.Sub(got.Received); took != time.Minute {
					t.Errorf("the handler returned after %v, want when the client went", took)
				}
				if begun := name == "drip"; (got.Status != 0) != begun {
					t.Errorf("logged status %d", got.Status)
				}
			})
		})
	}
}

func TestCutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := faulty(&koodrivetest.Fault{Truncate: true, Body: new("0123456789")})
		c := serve(t, k)
		resp, err := c.Do(c.request("GET", taskPath+"1", ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "01234" || resp.ContentLength != 10 {
			t.Errorf("truncated: %d bytes announced, %q, %v", resp.ContentLength, body, err)
		}
		k.SetFault(&koodrivetest.Fault{Reset: true})
		c.fail(c.request("GET", taskPath+"1", ""))
		if got := k.Requests(); got[0].Status != 200 || got[1].Status != 0 || got[1].Ended.IsZero() {
			t.Errorf("logged %+v", got)
		}
	})
}

func TestCutsHTTP2(t *testing.T) {
	k := koodrivetest.New()
	server := httptest.NewUnstartedServer(k)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for _, f := range []*koodrivetest.Fault{{Reset: true}, {Truncate: true, Body: new("0123456789")}} {
		k.SetFault(f)
		resp, err := server.Client().Get(server.URL)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.ProtoMajor != 2 {
				t.Errorf("spoke %s", resp.Proto)
			}
		}
		if err == nil || !strings.Contains(err.Error(), "stream error") {
			t.Errorf("%+v: %v, want a stream error", f, err)
		}
	}
}

func TestFaultOfOneStep(t *testing.T) {
	k := koodrivetest.New()
	k.SetTask(koodrivetest.Task{ID: "1", Steps: []koodrivetest.Step{
		{}, {Fault: koodrivetest.Answer(503, "")}, {Status: koodrivetest.StatusSuccess},
	}})
	c := serve(t, k)
	for i, want := range []int{200, 503, 200, 200} {
		if resp, _ := c.get("1"); resp.StatusCode != want {
			t.Errorf("answer %d: %s, want %d", i, resp.Status, want)
		}
	}
}

func TestSetFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		k.SetTask(koodrivetest.Task{ID: "1", Steps: []koodrivetest.Step{
			{Fault: koodrivetest.Answer(503, "")}, {Status: koodrivetest.StatusSuccess},
		}})
		c := serve(t, k)
		k.AddToken("test", time.Minute)
		k.SetFault(&koodrivetest.Fault{Status: 418})
		for _, path := range []string{taskPath + "1", taskPath + "2", "/elsewhere"} {
			resp, body := c.do(c.request("GET", path, "", "X-Traceid", "bad"))
			if resp.StatusCode != 418 || body != "" || refusal(k) != "" {
				t.Errorf("%s: got %s %s, refused %q", path, resp.Status, body, refusal(k))
			}
		}
		time.Sleep(time.Minute) // the token was not used
		k.SetFault(&koodrivetest.Fault{Pad: 1000})
		if resp, body := c.get("1"); resp.StatusCode != 401 || len(body) != 1000 {
			t.Errorf("an idle token: %s, %d bytes", resp.Status, len(body))
		}
		k.AddToken("test", 0)
		if resp, body := c.get("1"); resp.StatusCode != 200 || len(body) != 1000 { // not the step's 503
			t.Errorf("got %s, %d bytes", resp.Status, len(body))
		}
		k.SetFault(nil)
		if got := c.status("1"); got != koodrivetest.StatusSuccess {
			t.Errorf("status %d", got)
		}
	})
}
