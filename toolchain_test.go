package kootask_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Where all tests have to run, make reports missing programs before it runs any test.
func TestTestAllFailsAtOnce(t *testing.T) {
	dir := t.TempDir()
	for _, program := range []string{"make", "sed", "sort"} {
		path, err := exec.LookPath(program)
		if err == nil {
			err = os.Symlink(path, filepath.Join(dir, program))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	ran := filepath.Join(dir, "ran")
	script := "#!/bin/sh\n[ \"$1\" = env ] || echo \"$@\" >>" + ran + "\necho go9.9.9\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("make", "test-all")
	command.Env = []string{"PATH=" + dir}
	out, err := command.CombinedOutput()
	const curl, compiler = "\nREADME commands: no curl: apt install curl\n", "\nrace detector: no C compiler: apt install gcc libc6-dev\n"
	if said := string(out); err == nil || strings.Count(said, curl) != 1 || strings.Count(said, compiler) != 1 {
		t.Errorf("%v:\n%s", err, said)
	}
	if did, err := os.ReadFile(ran); err == nil {
		t.Errorf("it ran go %s", did)
	}
}

// While tests compile and run, a line now and then reports progress, to a pipe too. The exit code is the command's, and nothing
// keeps the pipe open afterwards.
func TestProgressIsShown(t *testing.T) {
	dir := t.TempDir()
	events, next := filepath.Join(dir, "tests.json"), filepath.Join(dir, "next")
	for _, pipe := range []string{"0", "1"} { // One per wait: the writer of the first one may still exist.
		if err := syscall.Mkfifo(next+pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command(".ci/progress", "sh", "-c", `read -r line <"${0}0"; printf '%s\n' "$1" >"$2"; read -r line <"${0}1"; exit 7`, next, `
{"Time":"2026-01-02T03:04:05Z","Action":"start","Package":"github.com/kootask/kootask/service"}
{"Time":"2026-01-02T03:04:05Z","Action":"start","Package":"github.com/kootask/kootask/upstream"}
{"Time":"2026-01-02T03:04:05Z","Action":"pass","Package":"github.com/kootask/kootask/service","Test":"TestA","Elapsed":1}
{"Time":"2026-01-02T03:04:05Z","Action":"fail","Package":"github.com/kootask/kootask/service","Test":"TestB","Elapsed":1}
{"Time":"2026-01-02T03:04:05Z","Action":"pass","Package":"github.com/kootask/kootask/upstream","Elapsed":1}
{"ImportPath":"github.com/kootask/kootask/proto","Action":"build-output","Output":"\n"}
{"Time":"2026-01-02T03:04:05Z","Act`, events)
	command.Env = append(os.Environ(), "PROGRESS_SECONDS=0.05", "GOTESTSUM_JSONFILE="+events)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for i, want := range []string{
		`^\.\.\. 0 min \d\d s: compiling$`, `^\.\.\. 0 min \d\d s: tests passed: 1, failed: 1; running: service$`,
	} {
		for lines.Scan() && !regexp.MustCompile(want).MatchString(lines.Text()) {
		}
		if lines.Err() != nil || lines.Text() == "" {
			t.Fatalf("no line matches %s: %v", want, lines.Err())
		}
		if err := os.WriteFile(next+strconv.Itoa(i), []byte("\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.Copy(io.Discard, stdout); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); command.ProcessState.ExitCode() != 7 {
		t.Error(err)
	}
}

// If go is older and cannot fetch the required version, make names that version, in one line.
func TestMakeNamesTheGoVersion(t *testing.T) {
	for name, script := range map[string]string{
		"an older Go":              "echo go1.19.8",
		"a download that fails":    "echo 'go: download go9.9.9: refused' >&2; exit 1",
		"an older Go by one patch": "echo go1.26.9",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			command := exec.Command("make", "build")
			command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=")
			out, err := command.CombinedOutput()
			if said := string(out); err == nil || strings.Count(said, "\n") != 1 || !strings.Contains(said, "needs Go 1.") {
				t.Errorf("%v, %q", err, said)
			}
		})
	}
}
