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

// promise is a promise that kootask makes to its users. Its number is its position in promises.
type promise struct {
	name   string
	text   string
	broken []sabotage
}

// sabotage is a change to the code that breaks a promise.
type sabotage struct {
	name         string // Describes the behaviour of the changed code.
	in, from, to string // See [change.Change].
	red          string // The test that must go red, like upstream.TestRateCeiling: the package's folder and the function.

	promise string // Number and name. Set by run.
}

// test returns the folder of the test's package and the test's name.
func (s sabotage) test() (folder, name string) {
	dot := strings.LastIndex(s.red, ".")
	return s.red[:max(dot, 0)], s.red[dot+1:]
}

// change returns the change to the code.
func (s sabotage) change() change.Change { return change.Change{In: s.in, From: s.from, To: s.to} }

// try runs the test against the changed code. It returns the first message of the test, and fails unless [verdict]
// accepts its output.
func (s sabotage) try(ctx context.Context, dir string) (said string, err error) {
	overlay, err := s.change().Overlay(dir)
	if err != nil {
		return "", err
	}
	folder, name := s.test()
	return verdict(goTest(ctx, folder, name, "-failfast", overlay), name)
}

// quickly reduces the work of the compiler on kootask's own packages. A sabotage makes go rebuild most of them, for a
// test of seconds.
const quickly = `'-gcflags=github.com/kootask/kootask/...=-N -l -dwarf=false' '-ldflags=-s -w'`

// goTest runs tests of a package and returns the output of go test -json.
func goTest(ctx context.Context, folder, pattern string, flags ...string) []byte {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-vet=off", "-timeout=5m",
		"-run=^("+pattern+")$", "./"+folder)
	// As variables: a test that builds the program must also build the changed one.
	cmd.Env = append(os.Environ(), "GOFLAGS="+strings.Join(append(flags, quickly, os.Getenv("GOFLAGS")), " "))
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	_ = cmd.Run()
	return output.Bytes()
}

// undisturbed runs the named tests against the unchanged code. It returns an error for each test that is not green
// there, since its going red would show nothing.
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
				failure := errors.Join(err, errors.New(said))
				wrong[folder+"."+name] = fmt.Errorf("the test is not green without the sabotage: %w", failure)
			}
		}
	})
	return wrong
}
