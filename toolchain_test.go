package kootask_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Make names the version that it needs, in one line, if go is older and cannot fetch it.
func TestMakeNamesTheGoVersion(t *testing.T) {
	for name, script := range map[string]string{
		"an older Go":              "echo go1.19.8",
		"a download that fails":    "echo 'go: download go9.9.9: refused' >&2; exit 1",
		"an older Go by one patch": "echo go1.26.9",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "go"), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		command := exec.Command("make", "build")
		command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=")
		out, err := command.CombinedOutput()
		if said := string(out); err == nil || strings.Count(said, "\n") != 1 || !strings.Contains(said, "needs Go 1.") {
			t.Errorf("%s: %v, %q", name, err, said)
		}
	}
}
