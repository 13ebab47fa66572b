package main

import (
	"encoding/json"
	"flag"
	"fmt"
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

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
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
		"get, no server":        {demoToken, []string{"get", "--addr=127.0.0.1:1", finishedID}, exitError, "kootask does not answer: connection error"},
		"get, TLS":              {demoToken, []string{"get", "--addr=" + secure.Listener.Addr().String(), finishedID}, exitError, "speaks TLS"},
		"get, HTTP":             {demoToken, []string{"get", "--addr=" + httpAddr, finishedID}, exitError, "is not kootask"},
		"get, something else":   {demoToken, []string{"get", "--addr=" + chatty.Addr().String(), finishedID}, exitError, "does not answer as kootask does"},
		"get, bad id":           {demoToken, []string{"get", addr, "list"}, exitUsage, "reserved by KooDrive"},
		"get, bad address":      {demoToken, []string{"get", "--addr=nowhere", finishedID}, exitUsage, "--addr: want HOST:PORT"},
		"get, no port":          {demoToken, []string{"get", "--addr=127.0.0.1:", finishedID}, exitUsage, "--addr: want HOST:PORT"},
		"get, high port":        {demoToken, []string{"get", "--addr=127.0.0.1:99999", finishedID}, exitUsage, "--addr: want HOST:PORT"},
		"get, named port":       {demoToken, []string{"get", "--addr=127.0.0.1:http", finishedID}, exitUsage, "--addr: want HOST:PORT"},
		"get, odd host":         {demoToken, []string{"get", "--addr=a b:1", finishedID}, exitUsage, "--addr: want HOST:PORT"},
		"get, odd host again":   {demoToken, []string{"get", "--addr=%zz:1", finishedID}, exitUsage, "kootask's address"},
		"get, odd user":         {demoToken, []string{"get", addr, "--user-id=a b", finishedID}, exitUsage, "--user-id: want"},
		"get, two tokens":       {"", []string{"get", addr, "--token-file=" + file(t, "a\nb"), finishedID}, exitUsage, "--token-file: it, or $KOOTASK_TOKEN"},
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

// Of several tasks, the exit code is the first of 130, 1, 5, 4 and 3 that holds.
func TestWorst(t *testing.T) {
	for _, row := range []struct {
		all  []int
		want int
	}{
		{nil, 0}, {[]int{0, 0}, 0}, {[]int{0, 3}, 3}, {[]int{3, 4, 0}, 4}, {[]int{4, 5, 3}, 5}, {[]int{3, 4, 5, 1}, 1}, {[]int{1, 130, 5}, 130},
	} {
		if code := report(io.Discard, worst(row.all)); code != row.want {
			t.Errorf("of %v: %d, want %d", row.all, code, row.want)
		}
	}
	if code := codeOf(&taskv1.Task{Done: true}, nil); code != exitError {
		t.Errorf("a task that is done in a way that nobody knows: %d", code)
	}
}

// A result that cannot be printed is none.
func TestLostResult(t *testing.T) {
	addr, _ := demo(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	t.Setenv(tokenVariable, demoToken)
	for _, args := range [][]string{{"get", addr, finishedID}, {"watch", addr, finishedID}, {"watch", addr, "--output=json", finishedID}} {
		var stderr strings.Builder
		if code := run(args, full, &stderr); code != exitError || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%q: exit %d, %s", args, code, &stderr)
		}
	}
}

func TestInterrupted(t *testing.T) {
	addr, _ := demo(t)
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	asked := make(chan struct{})
	go func() {
		if _, err := silent.Accept(); err == nil {
			close(asked)
		}
	}()
	get := start(t, nil, "get", "--addr="+silent.Addr().String(), runningID)
	<-asked
	get.signal(t, os.Interrupt)
	if state := get.ends(t, time.Minute); state.ExitCode() != exitInterrupted {
		t.Errorf("get ended with %v:\n%s", state, &get.stderr)
	}
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
			golden(t, name, story(slices.Collect(strings.Lines(p.stdout.String()))))
		})
	}
	all.Wait()
}

// changing is what differs from run to run in what people see.
var changing = []struct {
	form *regexp.Regexp
	is   string
}{
	{moment, "(time)"},
	{regexp.MustCompile(`for \d+m?\d*s`), "for (a while)"},
	{regexp.MustCompile(`confirmed \d+m?\d*s ago`), "confirmed (a while) ago"},
	{regexp.MustCompile(`\d+ in succession`), "(some) in succession"},
	{regexp.MustCompile(`again in [0-9.]+m?s`), "again in (a while)"},
	{regexp.MustCompile(`request [0-9a-f]{32}`), "request (id)"},
	{regexp.MustCompile(`resumed \d+×`), "resumed (some)×"},
	{regexp.MustCompile(`connection lost: .*?(  resumed|\), again|$)`), "connection lost: (why)$1"},
}

// passing is a live line that may or may not be drawn: before the first state, or between the last one and the end.
var passing = regexp.MustCompile(`(?m)^\S+ +(waiting|SUCCESS|FAILED \d+) +for \(a while\).*$`)

// story is what a person sees, one thing after the other, without what differs from run to run and without repeats.
func story(pieces []string) string {
	var seen []string
	for _, piece := range pieces {
		piece = strings.TrimRight(piece, " \r\n")
		for _, c := range changing {
			piece = c.form.ReplaceAllString(piece, c.is)
		}
		if piece = strings.TrimRight(passing.ReplaceAllString(piece, ""), " \r\n"); piece != "" && (len(seen) == 0 || seen[len(seen)-1] != piece) {
			seen = append(seen, piece)
		}
	}
	return strings.Join(seen, "\n") + "\n"
}

// redraw is how the live view begins to draw its lines anew.
var redraw = regexp.MustCompile(`\x1b\[\d+A\x1b\[J|\r`)

// watchOnTerminal runs watch on a terminal of a size, and returns what is drawn there and the exit code.
func watchOnTerminal(t *testing.T, rows, columns uint16, args ...string) (screen string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"watch"}, args...)...)
	cmd.Env = []string{tokenVariable + "=" + demoToken, "TERM=xterm"}
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: columns})
	if err != nil {
		t.Error(err)
		return "", -1
	}
	defer terminal.Close()
	text, _ := io.ReadAll(terminal) // Ends with an error when the program does.
	_ = cmd.Wait()
	return string(text), cmd.ProcessState.ExitCode()
}

// What a person sees on a terminal: the lines as they are drawn, one after the other.
func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t, "--heartbeat=1s", "--poll-backoff-max=2s")
	var all sync.WaitGroup
	for name, row := range map[string]struct {
		id   string
		code int
	}{
		"terminal-lively.txt": {livelyID, exitOK}, "terminal-outage.txt": {outageID, exitOK},
		"terminal-failed.txt": {failedID, exitFailed}, "terminal-unknown.txt": {"9", exitNotFound},
	} {
		all.Go(func() {
			screen, code := watchOnTerminal(t, 30, 140, addr, row.id)
			if code != row.code {
				t.Errorf("%s: exit %d", name, code)
			}
			golden(t, name, story(redraw.Split(screen, -1)))
		})
	}
	all.Wait()
}

// However small the terminal is, the end of every task is on it, in full.
func TestWatchOnSmallTerminals(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t)
	ids := []string{finishedID, failedID}
	for i := range 30 {
		ids = append(ids, fmt.Sprint("unknown-", i))
	}
	for _, size := range [][2]uint16{{24, 80}, {10, 80}, {50, 40}, {0, 0}} {
		screen, code := watchOnTerminal(t, size[0], size[1], append([]string{addr}, ids...)...)
		if code != exitNotFound || !strings.Contains(screen, "FAILED 18000205") ||
			strings.Count(screen, "KooDrive has no such task. (TASK_NOT_FOUND), request ") != 30 {
			t.Errorf("on %v: exit %d\n%s", size, code, screen)
		}
	}
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
	// What people see of it, through a pipe and on a terminal.
	piped := start(t, []string{tokenVariable + "=" + demoToken}, "watch", "--addr="+addr, livelyID)
	var people sync.WaitGroup
	people.Go(func() {
		screen, code := watchOnTerminal(t, 30, 200, "--addr="+addr, livelyID)
		if code != exitOK || !strings.Contains(screen, "interrupted: connection lost") || !strings.Contains(screen, "×") {
			t.Errorf("on a terminal: exit %d\n%s", code, screen)
		}
	})
	piped.says(t, "NEW")
	await(t, watch.ended, func() bool { return strings.Count(watch.stdout.String(), "TASK_STATUS_NEW") == len(livelyIDs) })
	server.signal(t, os.Kill)
	server.ends(t, time.Minute)
	watch.says(t, `"resume"`)
	<-time.After(5 * time.Second)
	serve()
	checkFinals(t, watch)
	people.Wait()
	if state := piped.ends(t, 3*time.Minute); !state.Success() {
		t.Errorf("through a pipe: %v", state)
	}
	golden(t, "pipe-killed.txt", story(slices.Collect(strings.Lines(piped.stdout.String()))))
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
