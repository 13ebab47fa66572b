package main

import (
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

var moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// The output through a pipe: a line for each change.
func TestWatchThroughAPipe(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t, "--heartbeat=1s", "--poll-backoff-max=2s")
	for name, args := range map[string][]string{"pipe-lively.txt": {livelyID}, "pipe-outage.txt": {outageID}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, []string{tokenVariable + "=" + demoToken}, append([]string{"watch", addr}, args...)...)
			if state := p.ends(t, 3*time.Minute); state.ExitCode() != exitOK || p.stderr.String() != "" {
				t.Errorf("%v, %s", state, &p.stderr)
			}
			golden(t, name, story(slices.Collect(strings.Lines(p.stdout.String()))))
		})
	}
}

// changing is the part of the output that differs from run to run.
var changing = []struct {
	form *regexp.Regexp
	is   string
}{
	{moment, "(time)"},
	{regexp.MustCompile(`\b(\d+m)?\d+s\b`), "(a while)"},
	{regexp.MustCompile(`polls: \d+`), "polls: (some)"},
	{regexp.MustCompile(`again in \d+ s`), "again in (a while)"},
	{regexp.MustCompile(`request [0-9a-f]{32}`), "request (id)"},
	{regexp.MustCompile(`connection lost: .*?(\), again|$)`), "connection lost: (why)$1"},
}

// story is the output without repeats and without parts that differ from run to run.
func story(lines []string) string {
	var seen []string
	for _, line := range lines {
		line = strings.TrimRight(line, " \r\n")
		for _, c := range changing {
			line = c.form.ReplaceAllString(line, c.is)
		}
		if len(seen) == 0 || seen[len(seen)-1] != line {
			seen = append(seen, line)
		}
	}
	return strings.Join(seen, "\n") + "\n"
}

// drawOnTerminal runs watch on a terminal of a size, which shows the output on screen, and returns the exit code.
func drawOnTerminal(t *testing.T, screen io.Writer, rows, columns uint16, args ...string) (code int) {
	t.Helper()
	return drawOnTerminalAs(t, screen, nil, rows, columns, append([]string{"watch"}, args...)...)
}

// drawOnTerminalAs is drawOnTerminal for any command, with additions to its environment.
func drawOnTerminalAs(t *testing.T, screen io.Writer, env []string, rows, columns uint16, args ...string) (code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append([]string{tokenVariable + "=" + demoToken, "TERM=xterm"}, env...)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: columns})
	if err != nil {
		t.Error(err)
		return -1
	}
	defer terminal.Close()
	_, _ = io.Copy(screen, terminal) // Ends with an error when the program does.
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

// What a terminal shows when the watch has ended.
func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t, "--heartbeat=1s", "--poll-backoff-max=2s")
	for name, row := range map[string]struct {
		id   string
		code int
	}{
		"terminal-lively.txt": {livelyID, exitOK}, "terminal-outage.txt": {outageID, exitOK},
		"terminal-failed.txt": {failedID, exitFailed}, "terminal-unknown.txt": {"9", exitNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			screen := newTerminal(140, 30)
			if code := drawOnTerminal(t, screen, 30, 140, addr, row.id); code != row.code {
				t.Errorf("exit %d", code)
			}
			golden(t, name, story(slices.Collect(strings.Lines(screen.String()))))
		})
	}
}

// However small the terminal is, the end of every task is printed in full.
func TestWatchOnSmallTerminals(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t)
	ids := append([]string{finishedID, failedID}, ids("unknown-", 30)...)
	for _, row := range []struct {
		height, width uint16
		live          bool
	}{{24, 80, true}, {10, 80, true}, {50, 40, true}, {3, 10, true}, {2, 80, false}, {0, 0, false}} {
		var written buffer
		screen := newTerminal(int(max(row.width, 10)), int(max(row.height, 3)))
		code := drawOnTerminalAs(t, io.MultiWriter(screen, &written), []string{"NO_COLOR=1"}, row.height, row.width, append([]string{"watch", addr}, ids...)...)
		text := screen.String()
		if !row.live {
			text = written.String()
		}
		text = strings.Join(strings.Fields(text), "")
		if code != exitNotFound || !strings.Contains(text, "FAILED18000205") || strings.Contains(text, "<") ||
			strings.Count(text, "KooDrivehasnosuchtask.(TASK_NOT_FOUND),request") != 30 {
			t.Errorf("on %+v: exit %d\n%s", row, code, text)
		}
	}
}

// NO_COLOR and --color choose the colours on a terminal and elsewhere.
func TestColours(t *testing.T) {
	t.Parallel()
	addr, _ := demo(t)
	for _, row := range []struct {
		flag, env           string
		terminal, elsewhere bool
	}{
		{"--color=auto", "", true, false}, {"--color=auto", "NO_COLOR=1", false, false}, {"--color=auto", "TERM=dumb", false, false},
		{"--color=never", "", false, false}, {"--color=always", "NO_COLOR=1", true, true},
	} {
		for _, command := range []string{"watch", "get"} {
			var screen buffer
			drawOnTerminalAs(t, &screen, []string{row.env}, 24, 80, command, addr, row.flag, finishedID)
			p := start(t, []string{tokenVariable + "=" + demoToken, row.env}, command, addr, row.flag, finishedID)
			p.ends(t, time.Minute)
			const success = "\x1b[32mSUCCESS\x1b[0m"
			if got := strings.Contains(screen.String(), success); got != row.terminal {
				t.Errorf("%s, %+v: on a terminal %v:\n%s", command, row, got, &screen)
			}
			if got := strings.Contains(p.stdout.String(), success); got != row.elsewhere {
				t.Errorf("%s, %+v: elsewhere %v:\n%s", command, row, got, &p.stdout)
			}
		}
	}
}
