package main

import (
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares printed text with a file of testdata.
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
		t.Errorf("cmd/kootask/%s is out of date: if the change is intended, run make docs for help-*.txt, completion.* and kootask.1, otherwise go test ./cmd/kootask -run %s -update; got\n%s\nwant\n%s", path, t.Name(), got, want)
	}
}

func TestHelp(t *testing.T) {
	for name, args := range map[string][]string{
		"help.txt": {"--help"}, "help-serve.txt": {"serve", "--help"}, "help-config.txt": {"config", "--help"}, "help-demo.txt": {"demo", "--help"},
		"help-simulate.txt": {"simulate", "--help"}, "help-get.txt": {"get", "--help"}, "help-watch.txt": {"watch", "--help"},
		"help-version.txt": {"version", "--help"}, "help-doctor.txt": {"doctor", "--help"}, "help-explain.txt": {"explain", "--help"}, "help-wait.txt": {"wait", "--help"},
		"help-completion.txt": {"completion", "--help"}, "help-help.txt": {"help", "--help"},
		"completion.bash": {"completion", "bash"}, "completion.fish": {"completion", "fish"}, "completion.zsh": {"completion", "zsh"}, "kootask.1": {"man"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := ask(t, args...)
			if code != exitOK || stderr != "" {
				t.Errorf("exit %d, %s", code, stderr)
			}
			golden(t, name, stdout)
		})
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
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	other.Config.Protocols = new(http.Protocols)
	other.Config.Protocols.SetUnencryptedHTTP2(true)
	other.Start()
	defer other.Close()
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
	strict := &double{outcomes: map[string]reason.Outcome{"7": reason.CallerNotAuthenticated, "8": reason.UserNotAllowed}}
	strictAddr := "--addr=127.0.0.1:" + strict.serve(t, nil)
	for name, row := range map[string]struct {
		token string
		args  []string
		code  int
		want  string // In the output.
	}{
		"get, success":          {demoToken, []string{"get", addr, finishedID}, exitOK, "SUCCESS"},
		"get, not finished":     {demoToken, []string{"get", addr, runningID}, exitOK, "EXECUTING"},
		"get, unlisted":         {demoToken, []string{"get", addr, unlistedID}, exitOK, "status 7"},
		"get, failed":           {demoToken, []string{"get", addr, failedID}, exitFailed, "FAILED 18000205"},
		"get, JSON":             {demoToken, []string{"get", addr, "-o", "json", failedID}, exitFailed, `"TASK_STATUS_FAILED"`},
		"get, not found":        {demoToken, []string{"get", addr, "9"}, exitNotFound, "TASK_NOT_FOUND"},
		"get, refused":          {"nobody", []string{"get", addr, finishedID}, exitRefused, "CREDENTIAL_REJECTED"},
		"get, unknown caller":   {demoToken, []string{"get", strictAddr, "7"}, exitRefused, "CALLER_UNAUTHENTICATED"},
		"get, user not allowed": {demoToken, []string{"get", strictAddr, "8"}, exitRefused, "USER_NOT_ALLOWED"},
		"get, no token":         {"", []string{"get", addr, finishedID}, exitRefused, "CREDENTIAL_MISSING): set KOOTASK_TOKEN or --token-file"},
		"get, no server":        {demoToken, []string{"get", "--addr=127.0.0.1:1", finishedID}, exitError, "kootask does not answer: connection error"},
		"get, TLS":              {demoToken, []string{"get", "--addr=" + secure.Listener.Addr().String(), finishedID}, exitError, "speaks TLS"},
		"get, HTTP":             {demoToken, []string{"get", "--addr=" + httpAddr, finishedID}, exitError, "is kootask's HTTP port: --addr must be its gRPC port, 9090 unless"},
		"get, another server":   {demoToken, []string{"get", "--addr=" + other.Listener.Addr().String(), finishedID}, exitError, "is not kootask: it has no TaskService"},
		"get, something else":   {demoToken, []string{"get", "--addr=" + chatty.Addr().String(), finishedID}, exitError, "does not answer as kootask does"},
		"get, bad id":           {demoToken, []string{"get", addr, "list"}, exitUsage, "reserved by KooDrive"},
		"get, bad address":      {demoToken, []string{"get", "--addr=nowhere", finishedID}, exitUsage, "--addr: must be HOST:PORT"},
		"get, no port":          {demoToken, []string{"get", "--addr=127.0.0.1:", finishedID}, exitUsage, "--addr: must be HOST:PORT"},
		"get, high port":        {demoToken, []string{"get", "--addr=127.0.0.1:99999", finishedID}, exitUsage, "--addr: must be HOST:PORT"},
		"get, named port":       {demoToken, []string{"get", "--addr=127.0.0.1:http", finishedID}, exitUsage, "--addr: must be HOST:PORT"},
		"get, odd host":         {demoToken, []string{"get", "--addr=a b:1", finishedID}, exitUsage, "--addr: must be HOST:PORT"},
		"get, odd host again":   {demoToken, []string{"get", "--addr=%zz:1", "--allow-plaintext", finishedID}, exitUsage, "kootask's address"},
		"get, odd user":         {demoToken, []string{"get", addr, "--user-id=a b", finishedID}, exitUsage, "--user-id: must be"},
		"get, two tokens":       {"", []string{"get", addr, "--token-file=" + file(t, "a\nb"), finishedID}, exitUsage, " has more than one line"},
		"get, no token file":    {demoToken, []string{"get", addr, "--token-file=" + missing, finishedID}, exitUsage, "--token-file: open "},
		"get, empty token file": {demoToken, []string{"get", addr, "--token-file=" + file(t, "\n"), finishedID}, exitUsage, "is empty"},
		"get, token file":       {"nobody", []string{"get", addr, "--token-file=" + file(t, demoToken+"\n"), finishedID}, exitOK, "SUCCESS"},
		"get, no id":            {demoToken, []string{"get", addr}, exitUsage, "<id>"},
		"get, several":          {demoToken, []string{"get", addr, "--output=json", finishedID, "9", failedID, finishedID}, exitNotFound, `"TASK_STATUS_FAILED"`},
		"get, several, text":    {demoToken, []string{"get", addr, finishedID, failedID, "9"}, exitNotFound, "kootask: 9: KooDrive has no such task. (TASK_NOT_FOUND), request "},

		"wait, success":   {demoToken, []string{"wait", addr, finishedID}, exitOK, ""},
		"wait, failed":    {demoToken, []string{"wait", addr, failedID, finishedID}, exitFailed, ""},
		"wait, not found": {demoToken, []string{"wait", addr, failedID, "9"}, exitNotFound, "kootask: 9: KooDrive has no such task. (TASK_NOT_FOUND), request "},
		"wait, timeout":   {demoToken, []string{"wait", addr, "--timeout=300ms", runningID, finishedID}, exitError, "kootask: " + runningID + ": not finished within 300ms"},
		"wait, JSON":      {demoToken, []string{"wait", addr, "--output=json", failedID, finishedID}, exitFailed, `"TASK_STATUS_SUCCESS"`},
		"wait, no server": {demoToken, []string{"wait", "--addr=127.0.0.1:1", finishedID, failedID}, exitError, "kootask does not answer"},

		"watch, success":         {demoToken, []string{"watch", addr, finishedID}, exitOK, "SUCCESS"},
		"watch, failed":          {demoToken, []string{"watch", addr, failedID, finishedID}, exitFailed, "FAILED 18000205"},
		"watch, not found":       {demoToken, []string{"watch", addr, failedID, "9"}, exitNotFound, "TASK_NOT_FOUND"},
		"watch, refused":         {"nobody", []string{"watch", addr, finishedID, "9"}, exitRefused, "CREDENTIAL_REJECTED"},
		"watch, unknown caller":  {demoToken, []string{"watch", strictAddr, "7"}, exitRefused, "CALLER_UNAUTHENTICATED"},
		"watch, not allowed":     {demoToken, []string{"watch", strictAddr, "8"}, exitRefused, "USER_NOT_ALLOWED"},
		"watch, no server":       {demoToken, []string{"watch", "--addr=127.0.0.1:1", finishedID}, exitError, "kootask does not answer"},
		"watch, HTTP":            {demoToken, []string{"watch", "--addr=" + httpAddr, finishedID}, exitError, "is kootask's HTTP port"},
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
		t.Errorf("a task that is done with an unknown status: %d", code)
	}
}

// A result that cannot be printed is an error.
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
	silent, asked := silentServer(t)
	get := start(t, nil, "get", "--addr="+silent, runningID)
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
