package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// missing is the output of .ci/missing in a new checkout, on a machine that has only the programs with these names.
func missing(t *testing.T, env string, programs ...string) (stdout, stderr string, err error) {
	t.Helper()
	checkout, path := t.TempDir(), t.TempDir()
	script, err := os.ReadFile(root + "/.ci/missing")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(checkout+"/.ci", 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{checkout + "/.ci/missing": script}
	for _, program := range programs {
		files[filepath.Join(path, program)] = []byte("#!/bin/sh\n")
	}
	for file, content := range files {
		if err := os.WriteFile(file, content, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "/bin/sh", checkout+"/.ci/missing")
	var out, errs strings.Builder
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{"PATH=" + path, env}, &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// .ci/missing looks for the same programs as the tests, by all their names.
func TestMissingLooksForTheProgramsOfTests(t *testing.T) {
	for group, names := range needs {
		here := slices.ContainsFunc(names, func(name string) bool {
			_, err := os.Stat(name)
			return filepath.IsAbs(name) && err == nil
		})
		for _, name := range append([]string{"another"}, names...) {
			if filepath.IsAbs(name) {
				continue
			}
			want := name == "another" && !here
			if out, _, err := missing(t, "", name); err != nil || strings.Contains(out, "\n"+group+": ") != want {
				t.Errorf("with %s: %v, not as it should be about %s:\n%s", name, err, group, out)
			}
		}
	}
}

// Everything missing is reported at once, each group in one line with the way to install it. It is an error where all tests
// have to run.
func TestMissingNamesEverything(t *testing.T) {
	var few []string // Added by the machine's own limit.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Max < mostFiles {
		few = []string{fmt.Sprintf("thousands of watches: at most %d open files: raise the limit (ulimit -Hn) to %d", limit.Max, mostFiles)}
	}
	out, stderr, err := missing(t, "", "nginx")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")[1:]
	if want := 9 + len(few); err != nil || stderr != "" || len(lines) != want {
		t.Fatalf("%v, %d lines, want %d:\n%s%s", err, len(lines), want, out, stderr)
	}
	for _, line := range lines {
		if !slices.Contains(few, line) && !regexp.MustCompile(`^[^:]+: [^:]+: apt install [a-z0-9 -]+$`).MatchString(line) {
			t.Errorf("%q", line)
		}
	}
	out, stderr, err = missing(t, "KOOTASK_TEST_ALL=1", "nginx")
	if err == nil || out != "" || !strings.Contains(stderr, strings.Join(lines, "\n")+"\n") {
		t.Errorf("%v:\n%s%s", err, out, stderr)
	}
	out, _, err = missing(t, "", "nginx", "curl", "npm", "gcc", "chromium", "bash", "fish", "zsh", "mandoc", "systemd-analyze")
	if err != nil || few == nil && out != "" || few != nil && !strings.HasSuffix(out, ":\n"+few[0]+"\n") {
		t.Errorf("with everything: %v:\n%s", err, out)
	}
}
