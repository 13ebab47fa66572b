package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/sabotage/change"
)

// The scenarios are valid, and each expects lines that a client can print.
func TestScenarios(t *testing.T) {
	all, err := load("scenarios.yaml")
	if err != nil || len(all) < 60 {
		t.Fatalf("clients/conformance/scenarios.yaml: %d scenarios, %v", len(all), err)
	}
	if err := haveAllReasons(all[:3]); err == nil || !strings.Contains(err.Error(), "SERVER_ERROR") {
		t.Errorf("three scenarios are complete: %v", err)
	}
}

var now = time.Now().UTC().Format(time.RFC3339)

const want = `[
	{"task": {"taskId": "1", "status": "TASK_STATUS_NEW", "koodriveStatus": 0}},
	{"resume": {"cause": {"code": "UNAVAILABLE|UNKNOWN", "reason": ""}, "after": [0.8, 1.2]}, "repeated": true},
	{"heartbeat": {"failureCount": 1, "failureReason": "UPSTREAM_TIMEOUT"}},
	{"failure": {"code": "NOT_FOUND", "reason": "TASK_NOT_FOUND", "retry": [1, 2], "metadata": {"a": "b"},
		"violations": [{"field": "f", "reason": "r", "description": "d"}], "localizedMessage": "l"}}
]`

var lines = []string{
	`{"task": {"taskId": "1", "status": "TASK_STATUS_NEW", "koodriveStatus": 0, "observeTime": "` + now + `"}}`,
	`{"resume": {"cause": {"code": "UNKNOWN"}, "afterSeconds": 0.8}}`,
	`{"heartbeat": {"failureCount": 1, "failureReason": "UPSTREAM_TIMEOUT"}}`,
	`{"failure": {"code": "NOT_FOUND", "reason": "TASK_NOT_FOUND", "known": "TASK_NOT_FOUND", "message": "m", "requestId": "i",
		"retryAfterSeconds": 1.5, "metadata": {"a": "b"}, "violations": [{"field": "f", "reason": "r", "description": "d"}], "localizedMessage": "l"}}`,
}

func judge(t *testing.T, lines ...string) error {
	t.Helper()
	return judgeFor(t, scenario{}, lines...)
}

// judgeFor judges the output in a scenario.
func judgeFor(t *testing.T, s scenario, lines ...string) error {
	t.Helper()
	var expect []expected
	if err := strictly([]byte(want), &expect); err != nil {
		t.Fatal(err)
	}
	var got []line
	if err := strictly([]byte("["+strings.Join(lines, ",")+"]"), &got); err != nil {
		t.Fatal(err)
	}
	s.Expect = expect
	s.complete()
	return compare(expect, got, s.Stub == nil)
}

// Of a stub all is known that it sends: so a heartbeat more is the client's mistake, and so is another message.
func TestCompareIsStricterWithAStub(t *testing.T) {
	s := scenario{Stub: [][]step{{}}}
	said := strings.NewReplacer(`"m"`, `"`+stubMessage+`"`, `"i"`, `"`+stubRequestID+`"`).Replace(lines[3])
	if err := judgeFor(t, s, lines[0], lines[1], lines[2], said); err != nil {
		t.Error(err)
	}
	for name, all := range map[string][]string{
		"a message":     {lines[0], lines[1], lines[2], strings.Replace(said, stubMessage, "m", 1)},
		"an id":         {lines[0], lines[1], lines[2], strings.Replace(said, stubRequestID, "i", 1)},
		"one beat more": {`{"heartbeat": {}}`, lines[0], lines[1], lines[2], said},
	} {
		if err := judgeFor(t, s, all...); err == nil {
			t.Errorf("%s of its own is accepted", name)
		}
	}
}

func TestCompareAccepts(t *testing.T) {
	heartbeat := `{"heartbeat": {"observeTime": "` + now + `"}}`
	for name, all := range map[string][]string{
		"what is expected":          lines,
		"a repeated line":           {lines[0], lines[1], lines[1], lines[1], lines[2], lines[3]},
		"heartbeats of its own":     {heartbeat, lines[0], heartbeat, lines[1], heartbeat, lines[1], lines[2], heartbeat, lines[3]},
		"values that are defaults":  {strings.Replace(lines[0], `"1"`, `"1", "taskName": "", "done": false`, 1), lines[1], lines[2], lines[3]},
		"an enum's value by number": {strings.Replace(lines[0], `"TASK_STATUS_NEW"`, `1`, 1), lines[1], lines[2], lines[3]},
	} {
		t.Run(name, func(t *testing.T) {
			if err := judge(t, all...); err != nil {
				t.Error(err)
			}
		})
	}
}

// The sabotages apply and compile, and name existing scenarios.
func TestSabotagesFitTheCode(t *testing.T) {
	all, err := load("scenarios.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../..")
	changes := make([]change.Change, len(sabotages))
	for i, s := range sabotages {
		changes[i] = s.Change
	}
	errs, err := change.Check(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range sabotages {
		if errs[i] != nil {
			t.Errorf("clients/conformance/sabotage.go: %q: %v", s.name, errs[i])
		}
		for _, name := range s.red {
			if !slices.ContainsFunc(all, func(one scenario) bool { return one.Name == name && one.KooDrive != nil }) {
				t.Errorf("clients/conformance/sabotage.go: %q: scenario %q does not exist", s.name, name)
			}
		}
	}
}

// Each difference is noticed.
func TestCompareRefuses(t *testing.T) {
	if err := judge(t); err == nil {
		t.Error("nothing is accepted")
	}
	for i := range lines {
		if err := judge(t, append(append([]string{}, lines[:i]...), lines[i+1:]...)...); err == nil {
			t.Errorf("line %d may be missing", i+1)
		}
	}
	if err := judge(t, append(append([]string{}, lines...), lines[3])...); err == nil {
		t.Error("a line too many is accepted")
	}
	for _, change := range []struct {
		line     int
		from, to string
	}{
		{0, `"taskId": "1"`, `"taskId": "2"`},
		{0, `"status"`, `"taskName": "x", "status"`},
		{0, `TASK_STATUS_NEW`, `TASK_STATUS_EXECUTING`},
		{0, `"koodriveStatus": 0, `, ``},
		{0, `, "observeTime": "` + now + `"`, ``},
		{0, now, "2020-01-01T00:00:00Z"},
		{1, `UNKNOWN`, `ABORTED`},
		{1, `0.8`, `0.7`},
		{1, `0.8`, `null`},
		{1, `{"code": "UNKNOWN"}`, `null`},
		{2, `1`, `2`},
		{2, `UPSTREAM_TIMEOUT`, `UPSTREAM_STALE`},
		{2, `"failureCount"`, `"observeTime": "` + now + `", "failureCount"`},
		{3, `NOT_FOUND"`, `INTERNAL"`},
		{3, `"reason": "TASK_NOT_FOUND"`, `"reason": "SERVER_ERROR"`},
		{3, `"known": "TASK_NOT_FOUND"`, `"known": ""`},
		{3, `"message": "m"`, `"message": ""`},
		{3, `"requestId": "i"`, `"requestId": ""`},
		{3, `1.5`, `2.5`},
		{3, `1.5`, `null`},
		{3, `"a": "b"`, `"a": "c"`},
		{3, `"a": "b"`, `"a": "b", "c": "d"`},
		{3, `"d"`, `"e"`},
		{3, `"l"`, `""`},
	} {
		changed := append([]string{}, lines...)
		changed[change.line] = strings.Replace(changed[change.line], change.from, change.to, 1)
		if changed[change.line] == lines[change.line] {
			t.Errorf("%s stands not in line %d", change.from, change.line+1)
		}
		if err := judge(t, changed...); err == nil {
			t.Errorf("%s may be %s", change.from, change.to)
		}
	}
}

// A sabotage is right if its scenarios fail with every client, and no other one.
func TestSabotageIsRight(t *testing.T) {
	s := sabotage{red: []string{"a"}}
	wrong := errors.New("wrong")
	for _, test := range []struct {
		cells map[cell]error
		right bool
	}{
		{map[cell]error{{"a", "go"}: wrong, {"a", "rust"}: wrong, {"b", "go"}: nil}, true},
		{map[cell]error{{"a", "go"}: wrong, {"a", "rust"}: nil, {"b", "go"}: nil}, false},
		{map[cell]error{{"a", "go"}: wrong, {"a", "rust"}: wrong, {"b", "go"}: wrong}, false},
		{map[cell]error{{"b", "go"}: nil}, false},
	} {
		if got := s.isRight(test.cells); got != test.right {
			t.Errorf("%v: %v", test.cells, got)
		}
	}
}
