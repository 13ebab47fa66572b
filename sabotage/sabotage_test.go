package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/docpage"
)

// Every sabotage still changes what it is meant to change, and the test that shall notice is there. So a change to the code
// that it was made for is told at once, and not when somebody next runs all of them.
func TestSabotagesFitTheCode(t *testing.T) {
	t.Chdir("..")
	names, tests := map[string]bool{}, map[string][]string{}
	for _, p := range promises {
		if len(p.broken) == 0 {
			t.Errorf("nothing breaks promise %d, %s", p.number, p.name)
		}
		for _, s := range p.broken {
			if s.name == "" || names[s.name] {
				t.Errorf("%q is no name for a sabotage of its own", s.name)
			}
			names[s.name] = true
			text, err := os.ReadFile(s.file)
			if err == nil {
				_, err = s.change().Apply(string(text))
			}
			if err != nil || strings.HasSuffix(s.file, "_test.go") {
				t.Errorf("%s: %s: %v", s.name, s.file, err)
			}
			folder, test := s.test()
			if tests[folder] == nil {
				tests[folder] = testsOf(t, folder)
			}
			if !slices.Contains(tests[folder], test) {
				t.Errorf("%s: there is no %s", s.name, s.red)
			}
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// testsOf are the tests of the package in a folder.
func testsOf(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

var update = flag.Bool("update", false, "write docs/promises.md")

// docs/promises.md has every promise, and the tests that are shown to notice when it is broken: make docs writes it.
func TestPromisesPage(t *testing.T) {
	rows := [][]string{{"", "promise", "broken on purpose", "noticed by"}}
	for i, p := range promises {
		if p.number != i+1 {
			t.Errorf("promise %d, %s, stands at place %d of table.go", p.number, p.name, i+1)
		}
		tests := map[string]bool{}
		for _, s := range p.broken {
			_, name := s.test()
			tests["`"+name+"`"] = true
		}
		rows = append(rows, []string{
			strconv.Itoa(p.number), "**" + p.name + ".** " + p.text, fmt.Sprintf("%d ways", len(p.broken)), strings.Join(slices.Sorted(maps.Keys(tests)), ", "),
		})
	}
	if err := docpage.Sync("../docs/promises.md", "promises", docpage.Table(rows), *update); err != nil {
		t.Error(err)
	}
}

// What counts is that the named test says that something is wrong, and nothing else that can go wrong.
func TestVerdict(t *testing.T) {
	const (
		output = `{"Action":"output","Test":"TestA","Output":"    a_test.go:7: got 1\n"}`
		ofSub  = `{"Action":"output","Test":"TestA/sub","Output":"        a_test.go:7: got 1\n"}`
		failed = `{"Action":"fail","Test":"TestA"}`
	)
	for name, row := range map[string]struct {
		output []string
		said   string
		err    error
	}{
		"red":                 {[]string{output, failed}, "a_test.go:7: got 1", nil},
		"red in a part":       {[]string{ofSub, `{"Action":"fail","Test":"TestA/sub"}`, failed}, "a_test.go:7: got 1", nil},
		"green":               {[]string{`{"Action":"pass","Test":"TestA"}`}, "", errGreen},
		"skipped":             {[]string{output, `{"Action":"skip","Test":"TestA"}`}, "a_test.go:7: got 1", errSkipped},
		"only another is red": {[]string{`{"Action":"pass","Test":"TestA"}`, `{"Action":"fail","Test":"TestB"}`}, "", errGreen},
		"what leaks is red":   {[]string{`{"Action":"pass","Test":"TestA"}`, `{"Action":"fail"}`}, "", errGreen},
		"no such test":        {[]string{`{"Action":"output","Output":"testing: warning: no tests to run\n"}`, `{"Action":"pass"}`}, "", errNotRun},
		"nothing":             {nil, "", errNotRun},
		"no JSON":             {[]string{"go: cannot find main module"}, "", errNotRun},
		"red without a word":  {[]string{failed}, "", errSilent},
		"ended":               {[]string{output, `{"Action":"fail"}`}, "a_test.go:7: got 1", errNotRun},
		"does not compile":    {[]string{`{"Action":"build-output","Output":"a.go:1:1: no\n"}`, `{"Action":"build-fail"}`}, "", errCompile},
		"panic":               {[]string{output, failed, `{"Action":"output","Test":"TestA","Output":"panic: no [recovered]\n"}`}, "", errAccident},
		"hang":                {[]string{output, failed, `{"Action":"output","Test":"TestA","Output":"panic: test timed out after 1m0s\n"}`}, "", errAccident},
		"crash":               {[]string{output, failed, `{"Action":"output","Output":"fatal error: all goroutines are asleep - deadlock!\n"}`}, "", errAccident},
		"data race":           {[]string{output, `{"Action":"output","Test":"TestA","Output":"WARNING: DATA RACE\n"}`, failed}, "", errAccident},
	} {
		said, err := verdict([]byte(strings.Join(row.output, "\n")), "TestA")
		if said != row.said || !errors.Is(err, row.err) {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
}
