package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kootask/kootask/service/auth"
)

const root = "../.."

// text returns a document, by its path from the root.
func text(t *testing.T, document string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The policy of the documentation is valid.
func TestDocumentedPolicy(t *testing.T) {
	_, after, _ := strings.Cut(text(t, "docs/operating.md"), "```yaml\n")
	policy, _, found := strings.Cut(after, "```")
	if _, err := auth.ParsePolicy([]byte(policy)); !found || err != nil {
		t.Errorf("docs/operating.md: %v: %s", err, policy)
	}
}

// commandsOf returns a document's code blocks for a shell, in order.
func commandsOf(t *testing.T, document string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text(t, document), -1) {
		all = append(all, strings.TrimSpace(m[1]))
	}
	return all
}

// The commands of the README and of docs/cli.md, verbatim: make run and the commands against it, then make install and the
// installed program. They print the README's output, and when make is stopped, no process stays behind.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	need(t, "README commands")
	all := append(commandsOf(t, "README.md"), commandsOf(t, "docs/cli.md")...)
	if len(all) != 12 || all[0] != "make run" || all[5] != "make test" || !strings.HasPrefix(all[7], "make install\n") {
		t.Fatalf("README.md and docs/cli.md have the commands %q: list them in this test, in cmd/kootask/readme_test.go", all)
	}
	for _, port := range ports {
		if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			t.Fatalf("port %s is in use: is make run still running?", port)
		}
	}
	demo := shell(t.Context(), "exec "+all[0])
	var stdout, stderr buffer
	demo.Stdout, demo.Stderr = &stdout, &stderr
	if err := demo.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- demo.Wait() }()
	t.Cleanup(func() { _ = demo.Process.Kill() })
	await(t, ended, func() bool { return strings.Contains(stdout.String(), "Watch a task over gRPC:") })

	for _, text := range append(append(slices.Clone(all[1:5]), all[6]), "with the token "+demoToken+": http://127.0.0.1:8080/", "http://127.0.0.1:8080/docs") {
		if !strings.Contains(stdout.String(), text+"\n") {
			t.Errorf("make run does not print %q of README.md: correct it there or in cmd/kootask/demo.go", text)
		}
	}
	installed := t.TempDir()
	afterInstall := strings.Join([]string{"set -e", all[7], all[8] + " --check", all[9], "export HOME=" + installed, all[11], all[10]}, "\n")
	modules, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	life := []string{"TASK_STATUS_NEW", "TASK_STATUS_EXECUTING", "TASK_STATUS_SUCCESS"}
	var running sync.WaitGroup
	for command, row := range map[string]struct {
		code int
		want []string
	}{
		all[1]: {0, []string{"TASK_STATUS_FAILED", `"18000205"`}},
		all[2]: {0, []string{" EXECUTING\n", " SUCCESS\n"}},
		all[3]: {0, append(slices.Clone(life), `{"end":{}}`)},
		all[4]: {0, append(slices.Clone(life), "event: end\ndata: {}")},
		all[6]: {0, append(slices.Clone(life), `"done"`)},
		afterInstall: {exitUsage, []string{ // The machine and the file do not exist.
			"Installed " + installed + "/bin/kootask", " SUCCESS\n", "--ca: open ca.pem", "--caller-token-file: open caller.jwt", "--token-file: open token",
		}},
	} {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := shell(ctx, command)
			cmd.Env = append(cmd.Env, "GOPATH="+installed, "GOBIN=", "GOMODCACHE="+strings.TrimSpace(string(modules)))
			output, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() != row.code {
				t.Errorf("%s: %v\n%s", command, err, output)
			}
			rest := string(output)
			for _, text := range row.want {
				at := strings.Index(rest, text)
				if at < 0 {
					t.Errorf("%s: printed\n%s\nwhich lacks %s", command, output, text)
					return
				}
				rest = rest[at:]
			}
		})
	}
	running.Wait()

	if err := demo.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("make run does not end")
	}
	for _, port := range ports {
		if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			t.Errorf("port %s still answers", port)
		}
	}
}

// ports are the ports in the README.
var ports = []string{"8080", "9090", "9091"}

// shell is a command as a user types it in the checkout, outside any make.
func shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = root
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "MAKE") || strings.HasPrefix(v, "MFLAGS=") || strings.HasPrefix(v, "KOOTASK_")
	})
	return cmd
}

// await polls a condition until it holds, as long as the command runs.
func await(t *testing.T, ended <-chan error, holds func() bool) {
	t.Helper()
	deadline := time.After(5 * time.Minute)
	for !holds() {
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-deadline:
			t.Fatal("it took too long")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// buffer is an output that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
