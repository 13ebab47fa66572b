package main

import (
	"bytes"
	"cmp"
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/callers"
	"github.com/kootask/kootask/service/reason"
)

const root = "../.."

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rows returns the cells of the README's table rows that begin with a code in the form given.
func rows(t *testing.T, first string) (all [][]string) {
	t.Helper()
	for _, line := range regexp.MustCompile("(?m)^\\| `"+first+"` \\|.*$").FindAllString(readme(t), -1) {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.Trim(cells[i], " `")
		}
		all = append(all, cells)
	}
	return all
}

func TestReadmeHasEveryFlag(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.DefaultEnvars("KOOTASK"))
	if err != nil {
		t.Fatal(err)
	}
	serve := parser.Model.Children[slices.IndexFunc(parser.Model.Children, func(n *kong.Node) bool { return n.Name == "serve" })]
	var want [][]string
	for _, flag := range serve.Flags {
		byDefault := flag.Default
		if flag.IsBool() {
			byDefault = cmp.Or(flag.Default, "false")
		}
		want = append(want, []string{"--" + flag.Name, strings.Join(flag.Envs, " "), byDefault})
	}
	got := rows(t, "--[a-z-]+")
	for _, row := range got {
		if !slices.ContainsFunc(want, func(w []string) bool { return slices.Equal(w, row[:3]) }) {
			t.Errorf("the README has %q, which serve has not", row[:3])
		}
	}
	if len(got) != len(want) || len(got) < 15 {
		t.Errorf("the README has %d flags, serve has %d: %q", len(got), len(want), want)
	}
}

func TestReadmeHasEveryReason(t *testing.T) {
	got := map[string]bool{}
	for _, row := range rows(t, "[A-Z_]+") {
		n, ok := taskv1.ErrorReason_value[row[0]]
		if !ok {
			t.Errorf("the README has %q, which the contract has not", row[0])
			continue
		}
		got[row[0]] = true
		st := (&reason.Error{Outcome: reason.Outcome{Reason: taskv1.ErrorReason(n)}}).Status("id", "")
		_, retry := reason.Read(st)
		http := runtime.HTTPStatusFromCode(st.Code())
		if row[0] == "METHOD_NOT_ALLOWED" {
			http = 405
		}
		var code codes.Code
		if err := code.UnmarshalJSON([]byte(`"` + row[1] + `"`)); err != nil || code != st.Code() || row[2] != strconv.Itoa(http) || (row[3] == "yes") != (retry != nil) {
			t.Errorf("the README has %q, the table %v, %d, retry %v", row, st.Code(), http, retry)
		}
	}
	if len(got) != len(taskv1.ErrorReason_name)-1 {
		t.Errorf("the README has %d reasons", len(got))
	}
}

// The README's policy is one.
func TestReadmePolicy(t *testing.T) {
	_, after, _ := strings.Cut(readme(t), "```yaml\n")
	text, _, found := strings.Cut(after, "```")
	if _, err := callers.ParsePolicy([]byte(text)); !found || err != nil {
		t.Errorf("%v: %s", err, text)
	}
}

// commandsOf are the README's code blocks for a shell, in order.
func commandsOf(t *testing.T) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(readme(t), -1) {
		all = append(all, strings.TrimSpace(m[1]))
	}
	return all
}

// The commands of the README as they stand there: make run, and then what it invites to; make install, and what is called by its name
// after that. They see what the README says, and when make is told to end, nothing stays behind.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	need(t, "README commands")
	all := commandsOf(t)
	if len(all) != 11 || all[0] != "make run" || all[6] != "make test" || !strings.HasPrefix(all[7], "make install\n") {
		t.Fatalf("commands %q", all)
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
	await(t, ended, func() bool { return strings.Contains(stdout.String(), "Watch one over gRPC:") })

	for _, text := range append(slices.Clone(all[1:6]), "with the token "+demoToken+": http://127.0.0.1:8080/", "http://127.0.0.1:8080/docs") {
		if !strings.Contains(stdout.String(), text+"\n") {
			t.Errorf("make run does not print %q", text)
		}
	}
	installed := t.TempDir()
	afterInstall := strings.Join([]string{"set -e", all[7], all[8] + " --check", all[9], all[10]}, "\n")
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
		all[5]: {0, append(slices.Clone(life), `"done"`)},
		afterInstall: {exitUsage, []string{ // There is no such machine and no such file.
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

// ports are those of the README.
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

// await waits until it holds, as long as the command runs.
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
