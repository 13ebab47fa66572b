package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// The public ports share the connections that the limit on open files leaves, and a flag may set fewer.
func TestMaxConnections(t *testing.T) {
	for name, row := range map[string]struct {
		wanted, files, atOnce int
		want                  int
		problem               string
	}{
		"a small limit":           {0, 256, 64, 32, ""},
		"a usual limit":           {0, 1024, 64, 416, ""},
		"a large limit":           {0, 1 << 20, 64, 524_192, ""},
		"the flag":                {100, 1024, 64, 100, ""},
		"the least":               {16, 1024, 64, 16, ""},
		"too little":              {15, 1024, 64, 0, "must be 0, or at least 16"},
		"negative":                {-1, 1024, 64, 0, "must be 0, or at least 16"},
		"more than there is":      {500, 1024, 64, 0, "of 1024 open files leaves 416 connections for each port, but 500 are needed. Raise the limit (ulimit -n) to 1192"},
		"no room":                 {0, 200, 64, 0, "leaves 4 connections for each port, but 16 are needed. Raise the limit (ulimit -n) to 224"},
		"many requests in flight": {0, 1024, 500, 0, "leaves 0 connections for each port, but 16 are needed. Raise the limit (ulimit -n) to 1096"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := maxConnections(row.wanted, row.files, row.atOnce)
			if got != row.want || fmt.Sprint(err) != "<nil>" && (row.problem == "" || !strings.Contains(err.Error(), row.problem)) || err == nil && row.problem != "" {
				t.Errorf("%d, %v", got, err)
			}
		})
	}
}

// A process that may open 256 files serves newcomers and its operator while one address opens connections in a loop and
// sends only a preface.
func TestFewFiles(t *testing.T) {
	p := startInto(t, nil, nil, "sh", "-c", `ulimit -n 256 && exec "$0" "$@"`, program, "serve", "--upstream-url=https://koodrive.test",
		"--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0")
	line := p.says(t, `({.*"msg":"serving".*})`)
	var serving struct {
		GRPC, HTTP, Admin string
		Max               int `json:"max_connections"`
	}
	if err := json.Unmarshal([]byte(line), &serving); err != nil || serving.Max != 32 {
		t.Fatalf("%v: %s", err, line)
	}
	const hello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for i := range 300 {
		for _, address := range []string{serving.GRPC, serving.HTTP, serving.Admin} {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatalf("connection %d: %v", i, err)
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, hello)
		}
	}
	newcomer := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 20 {
		for _, url := range []string{serving.HTTP + "/openapi.json", serving.Admin + "/healthz", serving.Admin + "/metrics"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+url, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := newcomer.Do(r)
			if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("%s: %v, %v", url, resp, err)
			}
		}
		conn, err := grpc.NewClient(serving.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := healthv1.NewHealthClient(conn).Check(t.Context(), &healthv1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	p.signal(t, syscall.SIGTERM)
	if state := p.ends(t, time.Minute); !state.Success() {
		t.Errorf("it ended with %v:\n%s", state, &p.stderr)
	}
}
