package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// verdict is the answer to a request.
type verdict struct {
	status int
	reason string // Empty without a reason.
}

// sendRaw sends a request whose target no library has touched.
func sendRaw(t *testing.T, url, target string) verdict {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: kootask\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n", target, demoToken)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%q: %v", target, err)
	}
	return verdict{resp.StatusCode, reasonOf(body)}
}

// However a path is written, it means the same through nginx as without it: it is passed on unchanged, and nginx's own reading of
// it does not matter. With a path in proxy_pass, it would.
func TestNginxPassesPathsOn(t *testing.T) {
	t.Parallel()
	ours, rewriting := newEdge(t, ""), newEdge(t, "", "proxy_pass http://kootask-http;", "proxy_pass http://kootask-http/;")
	rewritten := 0
	for _, path := range []string{"/v1/tasks/" + finishedID, "/v1/tasks/" + finishedID + ":watch", "/openapi.json"} {
		for _, change := range []struct{ at, with string }{
			{`$`, ``}, {`$`, `/`}, {`$`, `//`}, {`$`, `/.`}, {`$`, `/..`}, {`$`, `/%2e%2e`}, {`$`, `/x/..`}, {`$`, `%2F`}, {`$`, `%2f..`},
			{`$`, `;a=b`}, {`$`, `%3Ba=b`}, {`$`, `?`}, {`$`, `??`}, {`$`, `?failedTaskAsError=%74rue`}, {`$`, `?maxAge=1s&maxAge=1s`},
			{`$`, `?a=%zz`}, {`$`, `?a;b`}, {`$`, `%3Fx`}, {`$`, `#x`}, {`$`, `%23x`}, {`$`, `%00`}, {`$`, `%20`}, {`$`, `+`}, {`$`, `%0d%0aX:%20y`},
			{`$`, `%`}, {`$`, `%zz`}, {`$`, `%C3%A4`}, {`$`, `%ff`}, {`$`, "ä"}, {`$`, `\`}, {`$`, `:watch`}, {`$`, `%3Awatch`},
			{`^`, `/`}, {`^`, `/.`}, {`^`, `/..`}, {`^`, `/x/..`}, {`^`, `/%2e%2e`}, {`^`, `/x/%2e%2e`}, {`^`, `http://kootask`}, {`^`, `http://other:1`},
			{`(.)/`, `$1//`}, {`(.)/`, `$1%2F`}, {`(.)/`, `$1%2f`}, {`(.)/`, `$1%252F`}, {`(.)/`, `$1\`}, {`(.)/`, `$1/./`}, {`(.)/`, `$1/x/../`},
			{`(.)/`, `$1/x/%2e%2e/`}, {`:`, `%3A`}, {`:`, `%3a`}, {`:`, `%253A`}, {`:`, `::`}, {`:`, `/:`}, {`s`, `%73`}, {`s`, `S`}, {`n`, `%6E`},
		} {
			target := regexp.MustCompile(change.at).ReplaceAllString(path, change.with)
			want := sendRaw(t, ours.own, target)
			if change.with == "%00" || change.at == "^" && slices.Contains([]string{"/..", "/%2e%2e"}, change.with) {
				want = verdict{status: http.StatusBadRequest} // nginx refuses NUL, and paths above the root.
			}
			if got := sendRaw(t, ours.http, target); got != want {
				t.Errorf("%q: through nginx %v, without it %v", target, got, want)
			}
			if sendRaw(t, rewriting.http, target) != want {
				rewritten++
			}
		}
	}
	if rewritten == 0 {
		t.Error("it does not matter what proxy_pass says")
	}
}

// No client gets nginx's cached answer of another, since kootask forbids caching. If nginx is configured to ignore that, they do.
func TestNginxKeepsNothing(t *testing.T) {
	t.Parallel()
	const cache = "\nhttp { proxy_cache_path cache keys_zone=all:1m; proxy_cache all; proxy_cache_valid any 1h;"
	caching := []string{"\nhttp {", cache, "proxy_buffering off;", "proxy_buffering on;"} // Unbuffered, nothing is cached.
	// Other fields also keep nginx from caching some of them.
	obeying := newEdge(t, "", append(caching, ignoring("Vary X-Accel-Buffering")...)...)
	defiant := newEdge(t, "", append(caching, ignoring("Vary X-Accel-Buffering Cache-Control")...)...)
	for path, row := range map[string]struct {
		first, second   string // Tokens.
		status, another int
	}{
		"/v1/tasks/" + finishedID:              {demoToken, "nobody", 200, 401},
		"/v1/tasks/" + finishedID + ":watch":   {demoToken, "nobody", 200, 401},
		"/v1/tasks/" + failedID:                {"nobody", demoToken, 401, 200},
		"/v1/tasks/" + failedID + ":watch":     {"nobody", demoToken, 401, 200},
		"/v1/tasks/9":                          {demoToken, "nobody", 404, 401},
		"/v1/tasks/9:watch":                    {"nobody", demoToken, 401, 404},
		"/v1/tasks/list":                       {demoToken, "", 400, 401},
		"/v1/tasks/" + failedID + "?maxAge=0s": {"", demoToken, 401, 200},
	} {
		for name, e := range map[string]*edge{"obeying": obeying, "defiant": defiant} {
			t.Run(name+path, func(t *testing.T) {
				kept := name == "defiant"
				_, first := e.get(t, path, row.first, http.Header{})
				tries := 0
				await(t, e.nginx.ended, func() bool { // nginx stores an answer shortly after it has sent it.
					before := first
					_, first = e.get(t, path, row.first, http.Header{})
					tries++
					return first == before || !kept && tries == 5
				})
				status, second := e.get(t, path, row.second, http.Header{})
				if kept != (first == second) || !kept && status != row.another || kept && status != row.status {
					t.Errorf("first %s\nthen %d, %s", first, status, second)
				}
			})
		}
	}
}

// get sends nginx a request. The body that it returns names the request.
func (e *edge) get(t *testing.T, path, token string, header http.Header) (int, string) {
	t.Helper()
	r, _ := http.NewRequestWithContext(within(t), http.MethodGet, e.http+path, nil)
	r.Header = header
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client(false).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("X-Request-Id") + string(body)
}

// An error passes nginx with all its details, over gRPC too. nginx's log has its id but not the query.
func TestNginxPassesErrorsOn(t *testing.T) {
	t.Parallel()
	e := newEdge(t, "")
	ctx := as(within(t), "mine")
	_, get := e.tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: "9"})
	stream, err := e.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: "9"})
	if err == nil {
		_, err = stream.Recv()
	}
	for call, err := range map[string]error{"GetTask": get, "WatchTask": err} {
		name, _ := reason.Read(status.Convert(err))
		named := slices.ContainsFunc(status.Convert(err).Details(), func(detail any) bool {
			info, ok := detail.(*errdetails.RequestInfo)
			return ok && info.GetRequestId() == "mine"
		})
		if name != "TASK_NOT_FOUND" || !named {
			t.Errorf("%s: %v, %v", call, err, status.Convert(err).Details())
		}
	}
	if code, body := e.get(t, "/v1/tasks/9?token=geheim", demoToken, http.Header{"X-Request-Id": {"rest"}}); code != 400 || !strings.HasPrefix(body, "rest{") {
		t.Errorf("HTTP %d, %s", code, body)
	}
	var log string
	await(t, e.nginx.ended, func() bool {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(e.conf), "kootask.log"))
		log = string(text)
		return err == nil && strings.Count(log, "\n") == 3
	})
	if strings.Count(log, " mine\n") != 2 || strings.Count(log, " rest\n") != 1 || strings.Contains(log, "geheim") {
		t.Errorf("nginx has logged\n%s", log)
	}
}

// A client's own claims about its address are dropped.
func TestNginxForwardsTheAddress(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Proto+" "+strings.Join(append(r.Header["X-Forwarded-For"], r.Header["Connection"]...), ","))
	}))
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()
	addr := server.Listener.Addr().String()
	e := newEdge(t, "", "http://kootask-http;", "http://"+addr+";", "grpc://kootask-grpc;", "grpc://"+addr+";")
	e.get(t, "/", "", http.Header{"X-Forwarded-For": {"192.0.2.1"}})
	_, _ = e.tasks.GetTask(metadata.AppendToOutgoingContext(within(t), "x-forwarded-for", "192.0.2.1"), &taskv1.GetTaskRequest{})
	if want := []string{"HTTP/1.1 127.0.0.1", "HTTP/2.0 127.0.0.1"}; !slices.Equal(seen, want) {
		t.Errorf("kootask would see %q, want %q", seen, want)
	}
}
