package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// nginxDefault is a minimal configuration of nginx, which names only kootask's addresses.
const nginxDefault = `
error_log /var/log/nginx/error.log;
events {}
http {
	access_log /var/log/nginx/access.log;
	server { listen 127.0.0.1:9443 http2; location / { proxy_pass http://127.0.0.1:9090; } }
	server { listen 127.0.0.1:8443; location / { proxy_pass http://127.0.0.1:8080; } }
}
`

// edge is nginx in front of a kootask whose KooDrive is the double.
type edge struct {
	koodrive         string // The double's URL.
	kootask, nginx   *process
	http, http2, own string // URLs of REST: nginx's for HTTP/1.1 and for HTTP/2, and kootask's own.
	ownGRPC          string // The address of kootask's gRPC port.
	tasks            taskv1.TaskServiceClient
	conf             string // nginx's file.
}

// newEdge starts all three. The configuration is the one in deploy unless another one is given; in both, addresses and paths are
// replaced. Further changes are pairs of an old text and a new one.
func newEdge(t *testing.T, conf string, changes ...string) *edge {
	t.Helper()
	nginx := need(t, "nginx")
	if conf == "" {
		text, err := os.ReadFile(root + "/deploy/nginx.conf")
		if err != nil {
			t.Fatal(err)
		}
		conf = string(text)
	}
	e := &edge{koodrive: start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `answers on (http://\S+),`)}
	e.kootask = start(t, nil, "serve", "--upstream-allow-http", "--upstream-url="+e.koodrive, "--poll-min=50ms", "--poll-max=200ms",
		"--shutdown-grace=4s", anyPorts[0], anyPorts[1], anyPorts[2])
	e.own = "http://" + e.kootask.says(t, `"http":"([^"]+)"`)
	e.ownGRPC = e.kootask.says(t, `"grpc":"([^"]+)"`)

	prefix := t.TempDir()
	addrs := freeAddrs(t, 3)
	e.http, e.http2 = "http://"+addrs[1], "http://"+addrs[2]
	changes = append([]string{
		"127.0.0.1:9090", e.ownGRPC,
		"127.0.0.1:8080", strings.TrimPrefix(e.own, "http://"),
		"127.0.0.1:9443", addrs[0],
		// With TLS one port serves both versions of HTTP, which nginx cannot do in plaintext.
		"listen 127.0.0.1:8443;", "listen " + addrs[1] + "; listen " + addrs[2] + " http2;",
		"/var/log/nginx/", prefix + "/",
		"\nhttp {", "\nhttp { client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;",
	}, changes...)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(conf, changes[i]) {
			t.Fatalf("the configuration lacks %q", changes[i])
		}
		conf = strings.ReplaceAll(conf, changes[i], changes[i+1])
	}
	e.conf = filepath.Join(prefix, "nginx.conf")
	e.configure(t, conf)

	main := "daemon off; pid pid;"
	if os.Getuid() == 0 {
		main += " user root;" // The prefix must not be readable by others.
	}
	e.nginx = &process{Cmd: exec.CommandContext(t.Context(), nginx, "-c", e.conf, "-p", prefix, "-g", main), ended: make(chan error, 1)}
	e.nginx.Stdout, e.nginx.Stderr = &e.nginx.stdout, &e.nginx.stderr
	e.nginx.Cancel = func() error { return e.nginx.Process.Signal(syscall.SIGTERM) } // SIGKILL would leave its workers running.
	if err := e.nginx.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		e.nginx.ended <- e.nginx.Wait()
		close(e.nginx.ended)
	}()
	t.Cleanup(func() { e.nginx.ends(t, time.Minute) })
	await(t, e.nginx.ended, func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addrs[2])
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})

	e.tasks = dialTasks(t, addrs[0])
	return e
}

// alone returns the edge without nginx: its addresses are kootask's own.
func (e *edge) alone(t *testing.T) *edge {
	t.Helper()
	return &edge{koodrive: e.koodrive, kootask: e.kootask, http: e.own, http2: e.own, own: e.own, tasks: dialTasks(t, e.ownGRPC)}
}

func dialTasks(t *testing.T, addr string) taskv1.TaskServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return taskv1.NewTaskServiceClient(conn)
}

func (e *edge) configure(t *testing.T, conf string) {
	t.Helper()
	if err := os.WriteFile(e.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
}

// freeAddrs are addresses where nobody listens.
func freeAddrs(t *testing.T, n int) (all []string) {
	t.Helper()
	for range n {
		reserve, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer reserve.Close()
		all = append(all, reserve.Addr().String())
	}
	return all
}

// order sends the double a command.
func (e *edge) order(t *testing.T, method, path, body string) string {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), method, e.koodrive+"/simulate/"+path, strings.NewReader(body))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, path, text)
	}
	return string(text)
}

// set puts a task into a state.
func (e *edge) set(t *testing.T, id, state string) {
	t.Helper()
	e.order(t, http.MethodPut, "tasks/"+id, `{"steps": [{"status": "`+state+`"}]}`)
}

// asked returns the number of requests to KooDrive for a task.
func (e *edge) asked(t *testing.T, id string) int {
	t.Helper()
	return strings.Count(e.order(t, http.MethodGet, "requests", ""), `"taskId":"`+id+`"`)
}
