package main

import (
	"os"
	"os/exec"
	"testing"
)

// needs are the programs that some tests run, by the group of these tests. Each program has alternative names, of which the first
// one found is used. .ci/missing names them to users, with the way to install them.
var needs = map[string][]string{
	"pages": {
		"chromium", "chromium-browser", "google-chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	},
	"nginx":              {"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"}, // Only root's PATH has these folders.
	"README commands":    {"curl"},
	"completion in bash": {"bash"}, "completion in fish": {"fish"}, "completion in zsh": {"zsh"},
	"manual page":  {"mandoc"},
	"systemd unit": {"systemd-analyze"},
}

// need returns the path of the program that a group of tests runs. Without it, the test is skipped.
func need(t *testing.T, group string) string {
	t.Helper()
	for _, name := range needs[group] {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	notTried(t, group)
	return ""
}

// notTried skips a test that this machine cannot run. Where all tests have to run, it fails. The group is one of .ci/missing's,
// which reports it once, before and after the tests.
func notTried(t *testing.T, group string) {
	t.Helper()
	if everything() {
		t.Fatalf("%s: .ci/missing says what is missing", group)
	}
	t.Skipf("%s: .ci/missing says what is missing", group)
}

// everything reports whether all tests have to run: under make test-all.
func everything() bool { return os.Getenv("KOOTASK_TEST_ALL") != "" }
