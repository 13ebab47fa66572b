package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// On SIGHUP, serve rereads its files, logs that, and goes on; changes take effect within seconds.
func TestHangupRereads(t *testing.T) {
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `answers on (http://\S+),`)
	secret := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	p := start(t, nil, append([]string{
		"serve", "--upstream-allow-http", "--upstream-url=" + koodrive, "--upstream-auth=app", "--app-id=app", "--app-secret-file=" + secret,
	}, anyPorts...)...)
	p.says(t, `"msg":"serving"`)
	write("two")
	p.signal(t, syscall.SIGHUP)
	p.says(t, `"msg":"rereading files","files":\["app-secret"\]`)
	p.says(t, `"msg":"files reloaded","files":"app-secret"`)
	p.signal(t, syscall.SIGHUP)
	await(t, p.ended, func() bool { return strings.Count(p.stderr.String(), "rereading files") == 2 })
	p.signal(t, syscall.SIGTERM)
	if state := p.ends(t, time.Minute); !state.Success() {
		t.Errorf("it ended with %v", state)
	}
}

// When its terminal is closed, demo stops in order, and the other commands end at once.
func TestHangupOfATerminal(t *testing.T) {
	demo := start(t, nil, append([]string{"demo"}, anyPorts...)...)
	simulate := start(t, nil, "simulate", "--addr=127.0.0.1:0")
	watch := start(t, []string{tokenVariable + "=" + demoToken}, "watch", "--addr="+strings.TrimSpace(demo.says(t, `gRPC +(\S+)`)), runningID)
	simulate.says(t, "Tokens: ")
	watch.says(t, "(EXECUTING)")
	for name, p := range map[string]*process{"simulate": simulate, "watch": watch} {
		p.signal(t, syscall.SIGHUP)
		if state := p.ends(t, time.Minute); state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGHUP {
			t.Errorf("%s ended with %v", name, state)
		}
	}
	demo.signal(t, syscall.SIGHUP)
	if state := demo.ends(t, time.Minute); !state.Success() {
		t.Errorf("demo ended with %v", state)
	}
}

// Under nohup, demo survives the end of its terminal.
func TestHangupUnderNohup(t *testing.T) {
	p := &process{Cmd: exec.CommandContext(t.Context(), "sh", "-c", `trap "" HUP; exec "$0" demo --grpc-addr=127.0.0.1:0 --http-addr=127.0.0.1:0 --admin-addr=`, program), ended: make(chan error, 1)}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill() })
	addr := p.says(t, `HTTP +http://(\S+)`)
	p.signal(t, syscall.SIGHUP)
	if status := fetch(t, addr, finishedID); status != http.StatusOK {
		t.Errorf("a call is answered with %d", status)
	}
	p.signal(t, syscall.SIGTERM)
	if state := p.ends(t, time.Minute); !state.Success() {
		t.Errorf("it ended with %v", state)
	}
}
