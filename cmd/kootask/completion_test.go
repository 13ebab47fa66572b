package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"github.com/kootask/kootask/cmd/kootask/completion"
)

// completes returns a function that returns the words which a shell offers at the end of a line, in order and without the
// flag before "=".
func completes(t *testing.T, shell string) func(t *testing.T, line string) []string {
	t.Helper()
	path, home := need(t, "completion in "+shell), t.TempDir()
	code, script, stderr := ask(t, "completion", shell)
	if code != exitOK || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	// One of the files has a space in its name.
	for name, content := range map[string]string{"script": script, "a file": ""} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	driver, err := filepath.Abs("testdata/complete/" + shell)
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, line string) (words []string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), path, driver, "./script", line)
		command.Dir, command.Env = home, []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TERM=xterm", "LC_ALL=C.UTF-8"}
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v:\n%s", line, err, out)
		}
		for word := range strings.Lines(string(out)) {
			word = strings.TrimSpace(word)
			if _, value, is := strings.Cut(word, "="); is {
				word = value
			}
			if word != "" {
				words = append(words, word)
			}
		}
		slices.Sort(words)
		return slices.Compact(words)
	}
}

// Each shell completes commands, flags, the values of flags and arguments, and the names of files.
func TestCompletion(t *testing.T) {
	parser, err := kong.New(&commands{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	want := map[string][]string{ // By line.
		"kootask wa": {"wait", "watch"}, "kootask --version wa": {"wait", "watch"}, "kootask zz": nil, "kootask --v": {"--version"},
		"kootask get --output ": {"auto", "json"}, "kootask get 7 --output j": {"json"}, "kootask get --output=j": {"json"}, "kootask get --output=": {"auto", "json"},
		"kootask get -o ": {"auto", "json"}, "kootask get -o j": {"json"},
		"kootask serve --upstream-auth=": {"app", "caller"}, "kootask serve --no-": {"--no-console"},
		"kootask completion ": completion.Shells, "kootask completion z": {"zsh"}, "kootask help wa": {"wait", "watch"},
		"kootask get --addr ": nil,
	}
	for _, command := range parser.Model.Children {
		if command.Hidden {
			continue
		}
		names = append(names, command.Name)
		flags := []string{"--help", "--version"}
		for _, f := range command.Flags {
			flags = append(flags, "--"+f.Name)
			if f.Tag.Negatable != "" {
				flags = append(flags, "--no-"+f.Name)
			}
		}
		want["kootask "+command.Name+" --"] = flags
	}
	want["kootask "], want["kootask help "] = names, names
	for _, shell := range completion.Shells {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			complete := completes(t, shell)
			for line, want := range want {
				if got := complete(t, line); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
					t.Errorf("%q: %q, want %q", line, got, want)
				}
			}
			files := []string{"a file", "script"}
			if shell == "bash" { // Readline completes them.
				files = []string{"(files)"}
			}
			got := complete(t, "kootask get --token-file ")
			for i := range got { // fish quotes the space.
				got[i] = strings.ReplaceAll(got[i], `\`, "")
			}
			if !slices.Equal(got, files) {
				t.Errorf("files: %q, want %q", got, files)
			}
		})
	}
}

func TestUnknownShell(t *testing.T) {
	if _, err := completion.Script("tcsh", nil); err == nil || !strings.Contains(err.Error(), "must be one of bash, fish, zsh") {
		t.Error(err)
	}
	if code, stdout, stderr := ask(t, "completion", "tcsh"); code != exitUsage || stdout != "" || !strings.Contains(stderr, `<shell> must be one of "bash","zsh","fish"`) {
		t.Errorf("exit %d, %s%s", code, stdout, stderr)
	}
}
