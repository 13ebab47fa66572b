package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// silentServer accepts connections and sends nothing. It returns its address, and a channel that is closed with the first
// connection.
func silentServer(t *testing.T) (addr string, asked chan struct{}) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	asked = make(chan struct{})
	go func() {
		if _, err := listener.Accept(); err == nil {
			close(asked)
		}
	}()
	return listener.Addr().String(), asked
}

// The first signal lets a call in flight end; the second one ends the process at once.
func TestSecondSignal(t *testing.T) {
	silent, asked := silentServer(t)
	p := start(t, nil, append([]string{"serve", "--upstream-allow-http", "--upstream-url=http://" + silent}, anyPorts...)...)
	address := p.says(t, `"http":"([^"]+)"`)
	go func() {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v1/tasks/1", nil)
		r.Header.Set("Authorization", "Bearer a")
		if resp, err := http.DefaultClient.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}()
	<-asked
	p.signal(t, syscall.SIGINT)
	p.says(t, `"level":"INFO","msg":"stopping; press again to stop at once"}`)
	await(t, p.ended, func() bool { // It accepts no more calls, and still runs.
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	p.signal(t, syscall.SIGINT)
	if state := p.ends(t, time.Minute); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v", state)
	}
}

// After SIGTERM a server reports that it is not ready, and serves on for the delay. SIGINT skips the delay.
func TestSignalsAndTheDelay(t *testing.T) {
	serve := func() *process {
		return start(t, nil, "serve", "--upstream-allow-http", "--upstream-url=http://127.0.0.1:1", "--shutdown-grace=1h", "--shutdown-delay=15m",
			anyPorts[0], anyPorts[1], "--admin-addr=127.0.0.1:0")
	}
	status := func(url string) int {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	p := serve()
	public, admin := "http://"+p.says(t, `"http":"([^"]+)"`), "http://"+p.says(t, `"admin":"([^"]+)"`)
	if status(admin+"/readyz") != http.StatusOK {
		t.Error("it is not ready")
	}
	p.signal(t, syscall.SIGTERM)
	await(t, p.ended, func() bool { return status(admin+"/readyz") == http.StatusServiceUnavailable })
	if status(admin+"/healthz") != http.StatusOK || status(public+"/openapi.json") != http.StatusOK {
		t.Error("it does not serve on")
	}
	p.signal(t, os.Interrupt)
	if state := p.ends(t, time.Minute); state.Success() {
		t.Errorf("a second signal: %v", state)
	}

	p = serve()
	p.says(t, `"http":"([^"]+)"`)
	p.signal(t, os.Interrupt)
	if state := p.ends(t, time.Minute); !state.Success() {
		t.Errorf("SIGINT: %v", state)
	}
}

// A stop without calls in flight succeeds. Only after SIGINT does the log mention a second signal.
func TestFirstSignal(t *testing.T) {
	for signal, want := range map[syscall.Signal]string{syscall.SIGINT: "stopping; press again to stop at once", syscall.SIGTERM: "stopping"} {
		t.Run(signal.String(), func(t *testing.T) {
			p := start(t, nil, append([]string{"demo", "--log-format=text"}, anyPorts...)...)
			p.says(t, "Tokens: ")
			p.signal(t, signal)
			if state := p.ends(t, time.Minute); !state.Success() || !regexp.MustCompile(` level=INFO msg="?`+want+`"?\n.* msg=stopped\n$`).MatchString(p.stderr.String()) {
				t.Errorf("it ended with %v:\n%s", state, &p.stderr)
			}
		})
	}
	for _, args := range [][]string{append([]string{"demo"}, anyPorts...), {"simulate", "--addr=127.0.0.1:0"}} {
		p := start(t, nil, args...)
		p.says(t, "Tokens: ")
		p.signal(t, os.Interrupt)
		if state := p.ends(t, time.Minute); !state.Success() {
			t.Errorf("%q ended with %v:\n%s", args, state, &p.stderr)
		}
	}
}

// All addresses in use are reported at once, each with its flag and a way out.
func TestTakenPorts(t *testing.T) {
	address := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `http://([^\s,]+)`)
	for command, flags := range map[string][]string{
		"demo":     {"grpc-addr", "http-addr", "admin-addr"},
		"serve":    {"grpc-addr", "http-addr", "admin-addr"},
		"simulate": {"addr"},
	} {
		t.Run(command, func(t *testing.T) {
			args := []string{command}
			var want strings.Builder
			for _, flag := range flags {
				args = append(args, "--"+flag+"="+address)
				_, _ = fmt.Fprintf(&want, "kootask: --%s: listen tcp %s: bind: address already in use. Stop the process that uses it, or choose another address: --%s=127.0.0.1:0 takes a free port\n", flag, address, flag)
			}
			if command == "serve" {
				args = append(args, "--upstream-url=https://koodrive.test")
			}
			if code, stdout, stderr := ask(t, args...); code != exitError || stdout != "" || stderr != want.String() {
				t.Errorf("exit %d: %s%swant\n%s", code, stdout, stderr, &want)
			}
		})
	}
}
