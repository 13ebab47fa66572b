package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"

	"github.com/kootask/kootask/sabotage/change"
)

// promise is what kootask promises to its users. Its place in promises is its number.
type promise struct {
	name   string
	text   string
	broken []sabotage
}

// sabotage is a change to the code that breaks a promise.
type sabotage struct {
	name         string // What the changed code does.
	in, from, to string // As in [change.Change].
	red          string // The test that notices, like upstream.TestRateCeiling: the package's folder and the function.

	promise string // Filled in by run.
}

// test returns the folder of the package whose test goes red, and the test's name.
func (s sabotage) test() (folder, name string) {
	dot := strings.LastIndex(s.red, ".")
	return s.red[:max(dot, 0)], s.red[dot+1:]
}

// change returns what the sabotage does to the code.
func (s sabotage) change() change.Change { return change.Change{In: s.in, From: s.from, To: s.to} }

// try runs the test against the sabotaged code. It returns what the test says first, and fails unless the test goes red
// as [verdict] wants it to.
func (s sabotage) try(ctx context.Context, dir string) (said string, err error) {
	overlay, err := s.change().Overlay(dir)
	if err != nil {
		return "", err
	}
	folder, name := s.test()
	return verdict(goTest(ctx, folder, name, "-failfast", overlay), name)
}

// quickly makes the compiler do less with our own packages, most of which a sabotage has built again, and which run for seconds.
const quickly = `'-gcflags=github.com/kootask/kootask/...=-N -l -dwarf=false' '-ldflags=-s -w'`

// goTest runs tests of a package, and returns their output as JSON, which says how each of them ends.
func goTest(ctx context.Context, folder, pattern string, flags ...string) []byte {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-vet=off", "-timeout=5m", "-run=^("+pattern+")$", "./"+folder)
	// Not as arguments: a test that builds the program itself has to build the sabotaged one.
	cmd.Env = append(os.Environ(), "GOFLAGS="+strings.Join(append(flags, quickly, os.Getenv("GOFLAGS")), " "))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	_ = cmd.Run()
	return output.Bytes()
}

// undisturbed runs each test that should go red against the unchanged code. A test that is not green there shows nothing when it is
// red. It returns an error for each such test.
func undisturbed(ctx context.Context, chosen []sabotage) map[string]error {
	tests := map[string]map[string]bool{} // By folder.
	for _, s := range chosen {
		folder, name := s.test()
		if tests[folder] == nil {
			tests[folder] = map[string]bool{}
		}
		tests[folder][name] = true
	}
	var mu sync.Mutex // Guards wrong.
	wrong := map[string]error{}
	each(slices.Sorted(maps.Keys(tests)), func(folder string) {
		names := slices.Sorted(maps.Keys(tests[folder]))
		output := goTest(ctx, folder, strings.Join(names, "|"))
		mu.Lock()
		defer mu.Unlock()
		for _, name := range names {
			if said, err := verdict(output, name); !errors.Is(err, errGreen) {
				wrong[folder+"."+name] = fmt.Errorf("the test is not green without the sabotage: %w", errors.Join(err, errors.New(said)))
			}
		}
	})
	return wrong
}
