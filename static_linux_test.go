package kootask_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// The programs that make builds and installs are static, even with a C compiler: they need no loader and no library.
func TestProgramIsStatic(t *testing.T) {
	bin := t.TempDir()
	built := filepath.Join(bin, "built") // Not bin/kootask, which another test may run.
	command := exec.Command("make", "build", "install", "PROGRAM="+built)
	command.Env = append(os.Environ(), "CGO_ENABLED=1", "GOBIN="+bin, "MAKEFLAGS=", "MAKELEVEL=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for _, path := range []string{built, filepath.Join(bin, "kootask")} {
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
}
