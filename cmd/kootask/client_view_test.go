package main

import (
	"fmt"
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
	{regexp.MustCompile(`for \d+m?\d*s`), "for (a while)"},
	{regexp.MustCompile(`confirmed \d+m?\d*s ago`), "confirmed (a while) ago"},
	{regexp.MustCompile(`\d+ consecutive polls`), "(some) consecutive polls"},
	{regexp.MustCompile(`again in [0-9.]+m?s`), "again in (a while)"},
	{regexp.MustCompile(`request [0-9a-f]{32}`), "request (id)"},
	{regexp.MustCompile(`resumed \d+×`), "resumed (some)×"},
	{regexp.MustCompile(`connection lost: .*?(  resumed|\), again|$)`), "connection lost: (why)$1"},
}

// passing is a live line that may or may not be drawn: before the first state, or between the last one and the end.
var passing = regexp.MustCompile(`(?m)^\S+ +(waiting|SUCCESS|FAILED \d+) +for \(a while\).*$`)

// story is the output without repeats and without parts that differ from run to run.
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

// redraw is the begin of a redraw of the live view.
var redraw = regexp.MustCompile(`\x1b\[\d+A\x1b\[J|\r`)

// watchOnTerminal runs watch on a terminal of a size, and returns the drawn text and the exit code.
func watchOnTerminal(t *testing.T, rows, columns uint16, args ...string) (screen string, code int) {
	t.Helper()
	var drawn buffer
	code = drawOnTerminal(t, &drawn, rows, columns, args...)
	return drawn.String(), code
}

// drawOnTerminal is watchOnTerminal for a test that has to read the screen meanwhile.
func drawOnTerminal(t *testing.T, screen io.Writer, rows, columns uint16, args ...string) (code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"watch"}, args...)...)
	cmd.Env = []string{tokenVariable + "=" + demoToken, "TERM=xterm"}
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

// The output on a terminal: the lines as they are drawn, one after the other.
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
			screen, code := watchOnTerminal(t, 30, 140, addr, row.id)
			if code != row.code {
				t.Errorf("exit %d", code)
			}
			golden(t, name, story(redraw.Split(screen, -1)))
		})
	}
}

// However small the terminal is, the end of every task is printed in full.
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
