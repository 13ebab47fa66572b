package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/docpage"
)

func TestSabotagesFitTheCode(t *testing.T) {
	t.Chdir("..")
	for _, problem := range check(t.Context(), promises) {
		t.Error(problem)
	}
}

var update = flag.Bool("update", false, "write docs/promises.md")

// docs/promises.md has every promise, and the tests that notice when it is broken: make docs writes it.
func TestPromisesPage(t *testing.T) {
	rows := [][]string{{"", "promise", "broken on purpose", "noticed by"}}
	for i, p := range promises {
		tests := map[string]bool{}
		for _, s := range p.broken {
			_, name := s.test()
			tests["`"+name+"`"] = true
		}
		rows = append(rows, []string{
			strconv.Itoa(i + 1), "**" + p.name + ".** " + p.text, fmt.Sprintf("%d ways", len(p.broken)), strings.Join(slices.Sorted(maps.Keys(tests)), ", "),
		})
	}
	if err := docpage.Sync("../docs/promises.md", "promises", docpage.Table(rows), *update); err != nil {
		t.Error(err)
	}
}

// Only a failed assertion of the named test counts. Other failures do not.
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
		"red in a subtest":    {[]string{ofSub, `{"Action":"fail","Test":"TestA/sub"}`, failed}, "a_test.go:7: got 1", nil},
		"green":               {[]string{`{"Action":"pass","Test":"TestA"}`}, "", errGreen},
		"skipped":             {[]string{output, `{"Action":"skip","Test":"TestA"}`}, "a_test.go:7: got 1", errSkipped},
		"another test is red": {[]string{`{"Action":"pass","Test":"TestA"}`, `{"Action":"fail","Test":"TestB"}`}, "", errGreen},
		"the package is red":  {[]string{`{"Action":"pass","Test":"TestA"}`, `{"Action":"fail"}`}, "", errGreen},
		"no such test":        {[]string{`{"Action":"output","Output":"testing: warning: no tests to run\n"}`, `{"Action":"pass"}`}, "", errNotRun},
		"no output":           {nil, "", errNotRun},
		"not JSON":            {[]string{"go: cannot find main module"}, "", errNotRun},
		"red without message": {[]string{failed}, "", errSilent},
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
