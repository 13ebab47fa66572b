package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/creack/pty"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares what a person sees with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"help.txt": {"--help"}, "help-serve.txt": {"serve", "--help"}, "help-demo.txt": {"demo", "--help"},
		"help-simulate.txt": {"simulate", "--help"}, "help-get.txt": {"get", "--help"}, "help-watch.txt": {"watch", "--help"},
		"help-version.txt": {"version", "--help"},
	} {
		code, stdout, stderr := ask(t, args...)
		if code != exitOK || stderr != "" {
			t.Errorf("%q: exit %d, %s", args, code, stderr)
		}
		golden(t, name, stdout)
	}
}

// The demonstration's tasks.
const (
	failedID   = "1534087020903704704"
	runningID  = "1534087020903704711"
	finishedID = "1534087020903704712"
	livelyID   = "1534087020903704713"
	outageID   = "1534087020903704716"
	unlistedID = "1534087020903704717"
)

// demo runs the demonstration, and returns the flag with its gRPC address, and its HTTP address.
func demo(t *testing.T, args ...string) (addr, httpAddr string) {
	t.Helper()
	p := start(t, nil, append(append([]string{"demo"}, anyPorts...), args...)...)
	return "--addr=" + p.says(t, `gRPC +(127\.0\.0\.1:\d+)`), p.says(t, `HTTP +http://(127\.0\.0\.1:\d+)`)
}

func TestExitCodes(t *testing.T) {
	addr, httpAddr := demo(t)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	chatty, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer chatty.Close()
	go func() {
		for {
			conn, err := chatty.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "220 hello\r\n")
			_ = conn.Close()
		}
	}()
	missing := filepath.Join(t.TempDir(), "missing")
	for name, row := range map[string]struct {
		token string
		args  []string
		code  int
		want  string // In what is printed.
	}{
		"get, success":          {demoToken, []string{"get", addr, finishedID}, exitOK, "SUCCESS"},
		"get, not finished":     {demoToken, []string{"get", addr, runningID}, exitOK, "EXECUTING"},
		"get, unlisted":         {demoToken, []string{"get", addr, unlistedID}, exitOK, "status 7"},
		"get, failed":           {demoToken, []string{"get", addr, failedID}, exitFailed, "FAILED 18000205"},
		"get, JSON":             {demoToken, []string{"get", addr, "--output=json", failedID}, exitFailed, `"TASK_STATUS_FAILED"`},
		"get, not found":        {demoToken, []string{"get", addr, "9"}, exitNotFound, "TASK_NOT_FOUND"},
		"get, refused":          {"nobody", []string{"get", addr, finishedID}, exitRefused, "CREDENTIAL_REJECTED"},
		"get, no token":         {"", []string{"get", addr, finishedID}, exitRefused, "CREDENTIAL_MISSING"},
		"get, no server":        {demoToken, []string{"get", "--addr=127.0.0.1:1", finishedID}, exitError, "kootask does not answer: dial tcp"},
		"get, TLS":              {demoToken, []string{"get", "--addr=" + secure.Listener.Addr().String(), finishedID}, exitError, "speaks TLS"},
		"get, HTTP":             {demoToken, []string{"get", "--addr=" + httpAddr, finishedID}, exitError, "is not kootask"},
		"get, something else":   {demoToken, []string{"get", "--addr=" + chatty.Addr().String(), finishedID}, exitError, "does not speak gRPC"},
		"get, bad id":           {demoToken, []string{"get", addr, "list"}, exitUsage, "reserved by KooDrive"},
		"get, bad address":      {demoToken, []string{"get", "--addr=nowhere", finishedID}, exitUsage, "--addr: want HOST:PORT"},
		"get, no token file":    {demoToken, []string{"get", addr, "--token-file=" + missing, finishedID}, exitUsage, "--token-file: open "},
		"get, empty token file": {demoToken, []string{"get", addr, "--token-file=" + file(t, "\n"), finishedID}, exitUsage, "is empty"},
		"get, token file":       {"nobody", []string{"get", addr, "--token-file=" + file(t, demoToken+"\n"), finishedID}, exitOK, "SUCCESS"},
		"get, no id":            {demoToken, []string{"get", addr}, exitUsage, "<id>"},

		"watch, success":         {demoToken, []string{"watch", addr, finishedID}, exitOK, "SUCCESS"},
		"watch, failed":          {demoToken, []string{"watch", addr, failedID, finishedID}, exitFailed, "FAILED 18000205"},
		"watch, not found":       {demoToken, []string{"watch", addr, failedID, "9"}, exitNotFound, "TASK_NOT_FOUND"},
		"watch, refused":         {"nobody", []string{"watch", addr, finishedID, "9"}, exitRefused, "CREDENTIAL_REJECTED"},
		"watch, no server":       {demoToken, []string{"watch", "--addr=127.0.0.1:1", finishedID}, exitError, "kootask does not answer"},
		"watch, HTTP":            {demoToken, []string{"watch", "--addr=" + httpAddr, finishedID}, exitError, "is not kootask"},
		"watch, bad ids":         {demoToken, []string{"watch", addr, "a/b", "list"}, exitUsage, `task "a/b": the task id is malformed`},
		"watch, JSON, not found": {demoToken, []string{"watch", addr, "--output=json", "9"}, exitNotFound, `{"taskId":"9","failure":{"code":5`},
		"watch, bad output":      {demoToken, []string{"watch", addr, "--output=xml", finishedID}, exitUsage, "--output"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tokenVariable, row.token)
			code, stdout, stderr := ask(t, row.args...)
			if code != row.code || !strings.Contains(stdout+stderr, row.want) || strings.Contains(stdout+stderr, "nobody") {
				t.Errorf("exit %d, want %d and %q:\n%s%s", code, row.code, row.want, stdout, stderr)
			}
			if code == exitUsage && stdout != "" {
				t.Errorf("something was started: %s", stdout)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	addr, _ := demo(t)
	for _, args := range [][]string{{"watch", addr, runningID, failedID}, {"watch", addr, "--output=json", runningID}} {
		p := start(t, []string{tokenVariable + "=" + demoToken}, args...)
		p.says(t, "EXECUTING")
		p.signal(t, os.Interrupt)
		if state := p.ends(t, time.Minute); state.ExitCode() != exitInterrupted {
			t.Errorf("%q ended with %v:\n%s%s", args, state, &p.stdout, &p.stderr)
		}
	}
}

var moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// What a program sees through a pipe: a line for each change.
func TestWatchThroughAPipe(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t, "--heartbeat=1s", "--poll-backoff-max=2s")
	var all sync.WaitGroup
	for name, args := range map[string][]string{"pipe-lively.txt": {livelyID}, "pipe-outage.txt": {outageID}} {
		all.Go(func() {
			p := start(t, []string{tokenVariable + "=" + demoToken}, append([]string{"watch", addr}, args...)...)
			if state := p.ends(t, 3*time.Minute); state.ExitCode() != exitOK || p.stderr.String() != "" {
				t.Errorf("%q: %v, %s", args, state, &p.stderr)
			}
			var lines []string
			for line := range strings.Lines(moment.ReplaceAllString(p.stdout.String(), "(time)")) {
				line = regexp.MustCompile(`, \d+ in succession`).ReplaceAllString(line, ", N in succession")
				if len(lines) == 0 || lines[len(lines)-1] != line {
					lines = append(lines, line)
				}
			}
			golden(t, name, strings.Join(lines, ""))
		})
	}
	all.Wait()
}

var (
	redraw  = regexp.MustCompile(`\x1b\[\d+A\x1b\[J|\r`)
	numbers = regexp.MustCompile(`for \d+m?\d*s|confirmed \d+m?\d*s ago|\d+ in succession`)
)

// What a person sees on a terminal: the lines as they are drawn, one after the other, without the passing of time.
func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t, "--heartbeat=1s", "--poll-backoff-max=2s")
	var all sync.WaitGroup
	for name, id := range map[string]string{
		"terminal-lively.txt": livelyID, "terminal-outage.txt": outageID, "terminal-failed.txt": failedID, "terminal-unknown.txt": "9",
	} {
		all.Go(func() {
			cmd := exec.CommandContext(t.Context(), program, "watch", addr, id)
			cmd.Env = []string{tokenVariable + "=" + demoToken, "TERM=xterm"}
			terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 140})
			if err != nil {
				t.Error(err)
				return
			}
			defer terminal.Close()
			screen, _ := io.ReadAll(terminal) // Ends with an error when the program does.
			_ = cmd.Wait()
			var seen []string
			for _, frame := range redraw.Split(string(screen), -1) {
				frame = strings.TrimRight(numbers.ReplaceAllStringFunc(frame, func(s string) string {
					return regexp.MustCompile(`\d+m?\d*`).ReplaceAllString(s, "N")
				}), " \n")
				frame = regexp.MustCompile(`request [0-9a-f]{32}`).ReplaceAllString(frame, "request (id)")
				if frame != "" && (len(seen) == 0 || seen[len(seen)-1] != frame) {
					seen = append(seen, frame)
				}
			}
			golden(t, name, strings.Join(seen, "\n")+"\n")
		})
	}
	all.Wait()
}

// finals counts the final states that a JSON stream of watch reports, by task.
func finals(t *testing.T, stdout string) map[string]int {
	t.Helper()
	all := map[string]int{}
	for line := range strings.Lines(stdout) {
		var event struct {
			TaskID string `json:"taskId"`
			Task   *struct{ Done bool }
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Errorf("line %q: %v", line, err)
		}
		if event.Task != nil && event.Task.Done {
			all[event.TaskID]++
		}
	}
	return all
}

var livelyIDs = []string{"1534087020903704713", "1534087020903704714", "1534087020903704715"}

func checkFinals(t *testing.T, p *process) {
	t.Helper()
	state := p.ends(t, 3*time.Minute)
	got := finals(t, p.stdout.String())
	if state.ExitCode() != exitOK || len(got) != len(livelyIDs) || slices.ContainsFunc(livelyIDs, func(id string) bool { return got[id] != 1 }) {
		t.Errorf("it ended with %v and final states %v:\n%s%s", state, got, &p.stdout, &p.stderr)
	}
}

// The server is killed under a watch of three tasks and comes back five seconds later.
func TestWatchSurvivesAKill(t *testing.T) {
	t.Parallel()
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0").says(t, `answers on (http://\S+),`)
	reserve, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := reserve.Addr().String()
	_ = reserve.Close()
	serve := func() *process {
		p := start(t, nil, "serve", "--upstream-allow-http", "--upstream-url="+koodrive, "--grpc-addr="+addr, "--http-addr=127.0.0.1:0", "--admin-addr=")
		p.says(t, `"msg":"serving"`)
		return p
	}
	server := serve()
	watch := start(t, []string{tokenVariable + "=" + demoToken}, append([]string{"watch", "--addr=" + addr, "--output=json"}, livelyIDs...)...)
	await(t, watch.ended, func() bool { return strings.Count(watch.stdout.String(), "TASK_STATUS_NEW") == len(livelyIDs) })
	server.signal(t, os.Kill)
	server.ends(t, time.Minute)
	watch.says(t, `"resume"`)
	<-time.After(5 * time.Second)
	serve()
	checkFinals(t, watch)
}

// The connection is cut in the middle of a message, again and again.
func TestWatchSurvivesACutConnection(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t)
	proxy, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	var cuts atomic.Int32
	go func() {
		for limit := int64(350); ; limit += 100 { // A task is some 150 bytes.
			client, err := proxy.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(addr, "--addr="))
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(server, client) }()
			go func() {
				if n, _ := io.CopyN(client, server, limit); n == limit {
					cuts.Add(1)
				}
				_, _ = client.Close(), server.Close()
			}()
		}
	}()
	watch := start(t, []string{tokenVariable + "=" + demoToken},
		append([]string{"watch", "--addr=" + proxy.Addr().String(), "--output=json"}, livelyIDs...)...)
	checkFinals(t, watch)
	if cuts.Load() < 2 || !strings.Contains(watch.stdout.String(), `"resume"`) {
		t.Errorf("the connection was cut %d times:\n%s", cuts.Load(), &watch.stdout)
	}
}
