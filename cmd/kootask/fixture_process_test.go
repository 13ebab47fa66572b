package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// program is kootask, built as make builds it, with the version madeVersion.
var program string

const madeVersion = "0.0.0-7-gabcdef123456"

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kootask")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "kootask")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-X github.com/kootask/kootask/internal/version.stamped="+madeVersion, "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		panic(string(output))
	}
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR"} {
		_ = os.Unsetenv(name) // The output of the commands is for a reader of English.
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// process is a running kootask.
type process struct {
	*exec.Cmd
	stdout, stderr buffer
	ended          chan error
}

// start runs kootask until the test ends. The environment is empty but for env.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return startInto(t, nil, env, program, args...)
}

// startInto runs a command whose log goes to a file. Nil: the process keeps its output.
func startInto(t *testing.T, log *os.File, env []string, command string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.CommandContext(t.Context(), command, args...), ended: make(chan error, 1)}
	p.Env, p.Stdout, p.Stderr = append([]string{"PATH=" + os.Getenv("PATH")}, env...), &p.stdout, &p.stderr
	if log != nil {
		p.Stderr = log
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill() })
	return p
}

// says waits until the process has printed text that matches, and returns the first group.
func (p *process) says(t *testing.T, pattern string) string {
	t.Helper()
	var m []string
	await(t, p.ended, func() bool {
		m = regexp.MustCompile(pattern).FindStringSubmatch(p.stdout.String() + p.stderr.String())
		return m != nil
	})
	return m[len(m)-1]
}

// ends waits for the end of the process.
func (p *process) ends(t *testing.T, within time.Duration) *os.ProcessState {
	t.Helper()
	select {
	case <-p.ended:
		return p.ProcessState
	case <-time.After(within):
		t.Fatalf("it does not end:\n%s%s", &p.stdout, &p.stderr)
		return nil
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

var anyPorts = []string{"--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr="}
