package kootask_test

import (
	"bytes"
	"cmp"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The programs that make builds and installs are equal and static, even with a C compiler: they need no loader and no
// library. They have the version of the checkout, and no path of this machine.
func TestProgram(t *testing.T) {
	bin := t.TempDir()
	built := filepath.Join(bin, "built") // Not bin/kootask, which another test may run.
	command := exec.Command("make", "build", "install", "PROGRAM="+built)
	command.Env = append(os.Environ(), "CGO_ENABLED=1", "GOBIN="+bin, "MAKEFLAGS=", "MAKELEVEL=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	version, err := exec.Command(".ci/version").Output()
	if err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var contents [][]byte
	for _, path := range []string{built, filepath.Join(bin, "kootask")} {
		said, err := exec.Command(path, "version").Output()
		if want := "kootask " + cmp.Or(strings.TrimSpace(string(version)), "0.0.0-unknown") + " "; err != nil || !strings.HasPrefix(string(said), want) {
			t.Errorf("%s: %v, %q, want %q", path, err, said, want)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if path := regexp.MustCompile(`[^\w./-]` + regexp.QuoteMeta(here+"/")); path.Match(content) { // And no module's path.
			t.Errorf("%s contains %s", path, here)
		}
		contents = append(contents, content)
		program, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer program.Close()
		libraries, err := program.ImportedLibraries()
		loader := slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
		if err != nil || loader || len(libraries) > 0 {
			t.Errorf("%s: %v, it has a loader: %v, libraries: %q", path, err, loader, libraries)
		}
	}
	if !bytes.Equal(contents[0], contents[1]) {
		t.Error("make build and make install make different programs")
	}
}
