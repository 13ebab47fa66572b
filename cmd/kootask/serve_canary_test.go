package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kootask/kootask/internal/canaries"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

const (
	secretToken  = `Canary-"token"\<1>+/=`
	wrongToken   = `Canary-"wrong"\<2>+/=`
	appSecret    = `Canary-"secret"\<3>+/=`
	koodriveText = `Canary-"text" \<4>+/= by KooDrive`
	callersJunk  = `Canary-junk-5`
)

// secrets are printed nowhere; data is printed only by the client that requested the task.
var (
	secrets = []*canaries.Canary{
		canaries.New("the token", secretToken), canaries.New("a wrong token", wrongToken), canaries.New("the app's secret", appSecret),
		canaries.New("KooDrive's text", koodriveText), canaries.New("a caller's junk", callersJunk),
		canaries.New("KooDrive's path", "/koodrive/ose/"),
	}
	data = []*canaries.Canary{
		canaries.New("a user", koodrivetest.Example().UserID), canaries.New("a tenant", koodrivetest.Example().TenantID),
		canaries.New("a task's name", koodrivetest.Example().Name),
	}
)

// search looks for texts in an output.
func search(t *testing.T, who, text string, all ...*canaries.Canary) {
	t.Helper()
	for _, c := range all {
		for line := range strings.Lines(text) {
			if form := c.In(line); form != "" {
				t.Errorf("%s prints %s, %s: %s", who, c.Name, form, line)
				break
			}
		}
	}
}

// canaryScript is a KooDrive with the credentials, and a task for each fault. The first one runs forever.
func canaryScript(t *testing.T) string {
	t.Helper()
	type object = map[string]any
	example := koodrivetest.Example()
	task := func(id int, steps ...object) object {
		return object{"id": fmt.Sprint(id), "name": example.Name, "tenantId": example.TenantID, "userId": example.UserID, "steps": steps}
	}
	tasks := []object{task(0, object{"status": "EXECUTING"})}
	for i, fault := range []object{
		{"status": 503, "body": koodriveText}, {"status": 401, "json": object{"code": 1, "msg": koodriveText}}, {"reset": true}, {"truncate": true},
		{"status": 302, "header": object{"Location": "http://canary.test/" + koodriveText}}, {"header": object{"X-Long": strings.Repeat(koodriveText, 2000)}},
	} {
		tasks = append(tasks, task(i+1, object{"fault": fault}))
	}
	text, err := json.Marshal(object{
		"tokens": []object{{"token": secretToken}}, "apps": []object{{"id": "app", "secret": appSecret}}, "tasks": tasks,
	})
	if err != nil {
		t.Fatal(err)
	}
	return file(t, string(text))
}

// hostile is an upstream that sends the credential back, where no HTTP server would: the id of the task selects where.
func hostile(t *testing.T) (url string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, echo(path.Base(r.URL.Path), r.Header.Get("Authorization")))
			}
			_ = conn.Close()
		}
	}()
	return "http://" + listener.Addr().String()
}

func echo(id, credential string) string {
	body := `{"taskId":"` + id + `","status":1,"code":0}`
	switch id {
	case "10": // After the answer.
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s", len(body), body, credential)
	case "11": // In place of HTTP.
		return credential + "\r\n\r\n"
	case "12":
		return "HTTP/1.1 " + credential + "\r\n\r\n"
	case "13":
		return "HTTP/1.1 200 OK\r\n" + credential + "\r\n\r\n"
	case "14":
		return "HTTP/1.1 200 OK\r\nContent-Length: " + credential + "\r\n\r\n"
	case "15":
		return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + credential + "\r\n"
	default: // Nothing.
		return ""
	}
}

// The real program, at its most verbose, prints no secret, whatever happens to it.
func TestOutputHoldsNoSecret(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			simulate := start(t, nil, "simulate", "--addr=127.0.0.1:0", "--script="+canaryScript(t))
			koodrive := simulate.says(t, `answers on (http://\S+),`)
			serve := func(upstream string, more ...string) *process {
				return start(t, nil, append([]string{
					"serve", "--log-level=debug", "--log-format=" + format, "--upstream-allow-http", "--upstream-url=" + upstream,
					"--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0",
				}, more...)...)
			}
			forward, odd := serve(koodrive), serve(hostile(t))
			app := serve(koodrive, "--upstream-auth=app", "--app-id=app", "--app-secret-file="+file(t, appSecret))
			wrongApp := serve(koodrive, "--upstream-auth=app", "--app-id=app", "--app-secret-file="+file(t, secretToken))

			askAll(t, forward.port(t, "grpc"), 0, 1, 2, 3, 4, 5, 6, 7)
			askAll(t, odd.port(t, "grpc"), 10, 11, 12, 13, 14, 15, 16)
			askAll(t, app.port(t, "grpc"), 0, 1)
			askAll(t, wrongApp.port(t, "grpc"), 0)
			askAll(t, "127.0.0.1:1", 0)
			sendJunk(t, forward)
			watchAndBreak(t, forward, simulate)
			for name, p := range map[string]*process{"serve": forward, "serve with the odd upstream": odd, "serve with an app": app, "serve with a wrong app": wrongApp} {
				p.signal(t, syscall.SIGTERM)
				p.ends(t, time.Minute)
				text := p.stdout.String() + p.stderr.String()
				if strings.Count(text, "\n") < 4 {
					t.Errorf("%s prints little: %s", name, text)
				}
				search(t, name, text, secrets...)
				search(t, name, text, data...)
			}
		})
	}
}

// port is an address in the log of kootask serve, in either format.
func (p *process) port(t *testing.T, name string) string {
	t.Helper()
	return p.says(t, `"?\b`+name+`"?[=:]"?(127\.0\.0\.1:\d+)`)
}

// askAll runs the client for tasks, with each token in each way.
func askAll(t *testing.T, addr string, ids ...int) {
	t.Helper()
	var all []*process
	for i, id := range ids {
		for j, token := range []string{secretToken, wrongToken} {
			args := []string{"get", "--timeout=3s", "--addr=" + addr, "--user-id=" + koodrivetest.Example().UserID, fmt.Sprint(id)}
			args = append(args, "--output="+[]string{"auto", "json"}[(i+j)%2])
			all = append(all, start(t, []string{"KOOTASK_TOKEN=" + token}, args...), start(t, nil, append(args, "--token-file="+file(t, token))...))
		}
	}
	for _, p := range all {
		p.ends(t, time.Minute)
		search(t, strings.Join(p.Args[1:], " "), p.stdout.String()+p.stderr.String(), secrets...)
	}
}

// sendJunk sends requests that our clients never send: the libraries log them.
func sendJunk(t *testing.T, p *process) {
	t.Helper()
	for _, row := range []struct{ port, method, name, value string }{
		{"grpc", http.MethodPost, "X-Token-Bin", callersJunk + "!"},
		{"grpc", http.MethodPost, "Content-Type", "application/grpc+" + callersJunk},
		{"http", http.MethodGet, "Content-Type", callersJunk},
		{"http", callersJunk, "Accept", callersJunk},
	} {
		r, err := http.NewRequestWithContext(t.Context(), row.method, "http://"+p.port(t, row.port)+"/koodrive.task.v1.TaskService/GetTask", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/grpc")
		r.Header.Set("Te", "trailers")
		r.Header.Set(row.name, row.value)
		transport := &http.Transport{Protocols: &http.Protocols{}}
		transport.Protocols.SetUnencryptedHTTP2(true)
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
	}
}

// watchAndBreak reads the admin port during a watch, and then kills a client, and KooDrive.
func watchAndBreak(t *testing.T, p, koodrive *process) {
	t.Helper()
	var clients []*process
	for _, output := range []string{"auto", "json", "json"} {
		clients = append(clients, start(t, []string{"KOOTASK_TOKEN=" + secretToken}, "watch", "--addr="+p.port(t, "grpc"), "--output="+output, "0"))
	}
	for _, client := range clients {
		client.says(t, "(EXECUTING)")
	}
	refused := start(t, []string{"KOOTASK_TOKEN=" + wrongToken}, "watch", "--addr="+p.port(t, "grpc"), "0")
	refused.ends(t, time.Minute)
	admin := adminPort{"http://" + p.port(t, "admin"), &http.Client{Transport: &http.Transport{}}}
	for _, path := range []string{"/metrics", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/cmdline"} {
		text := admin.read(t, path)
		search(t, path, text, secrets...)
		search(t, path, text, data...)
	}
	admin.client.CloseIdleConnections()
	clients[0].signal(t, os.Kill)
	koodrive.signal(t, os.Kill)
	koodrive.ends(t, time.Minute)
	askAll(t, p.port(t, "grpc"), 0)
	p.says(t, "(UPSTREAM_UNREACHABLE)")
	clients[1].signal(t, os.Interrupt)
	for _, client := range append(clients[:2:2], refused) {
		if client != refused {
			client.ends(t, time.Minute)
		}
		search(t, "watch", client.stdout.String()+client.stderr.String(), secrets...)
	}
}
