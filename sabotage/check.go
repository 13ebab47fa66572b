package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kootask/kootask/sabotage/change"
)

// check returns the problems of the promises: a promise without a sabotage, and sabotages that do not apply or compile,
// share a name, or name a test that does not exist. It must run in the root of the checkout.
func check(ctx context.Context, promises []promise) (problems []error) {
	names, tests := map[string]bool{}, map[string][]string{}
	var all []sabotage
	var changes []change.Change
	for _, p := range promises {
		if len(p.broken) == 0 {
			problems = append(problems, fmt.Errorf("no sabotage breaks the promise %q: add one to its file in sabotage", p.name))
		}
		for _, s := range p.broken {
			all, changes = append(all, s), append(changes, s.change())
		}
	}
	errs, err := change.Check(ctx, changes)
	if err != nil {
		return append(problems, err)
	}
	for i, s := range all {
		problem := func(err error) { problems = append(problems, fmt.Errorf("%s: %q: %w", s.place(), s.name, err)) }
		if errs[i] != nil {
			problem(errs[i])
		}
		if s.name == "" || names[s.name] {
			problem(errors.New("the name is empty, or another sabotage has it"))
		}
		names[s.name] = true
		folder, test := s.test()
		if tests[folder] == nil {
			tests[folder] = testsOf(folder)
		}
		if !slices.Contains(tests[folder], test) {
			problem(fmt.Errorf("the test %s does not exist", s.red))
		}
	}
	return problems
}

// place returns the file and line of the sabotage, for messages.
func (s sabotage) place() string {
	files, _ := filepath.Glob("sabotage/*.go")
	for _, file := range files {
		text, _ := os.ReadFile(file)
		if before, _, found := strings.Cut(string(text), "name: "+strconv.Quote(s.name)); found {
			return fmt.Sprintf("%s:%d", filepath.ToSlash(file), 1+strings.Count(before, "\n"))
		}
	}
	return "sabotage"
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// testsOf returns the tests of the package in a folder; none if it cannot be read.
func testsOf(folder string) (names []string) {
	files, _ := filepath.Glob(filepath.Join(folder, "*_test.go"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}
