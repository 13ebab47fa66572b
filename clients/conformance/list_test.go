package main

import (
	"slices"
	"strings"
	"testing"
)

const wantList = `[
	{"task": {"taskId": "1", "status": "TASK_STATUS_NEW"}},
	{"task": {"taskId": "1", "status": "TASK_STATUS_SUCCESS"}},
	{"task": {"taskId": "2", "status": "TASK_STATUS_NEW"}},
	{"dropped": {"taskId": "2", "code": "UNAVAILABLE", "reason": "UPSTREAM_STALE", "retry": [1, 2]}},
	{"resume": {"cause": {"code": "UNAVAILABLE", "reason": ""}, "after": [0.8, 1.2], "taskIds": ["1", "2"]}, "repeated": true},
	{"resume": {"cause": {"code": "UNAVAILABLE", "reason": ""}, "after": [0.8, 1.2], "taskIds": ["3"]}},
	{"end": {}}
]`

// listLines are lines as wantList has them. They are in its order.
var listLines = []string{
	`{"task": {"taskId": "1", "status": "TASK_STATUS_NEW", "observeTime": "` + now + `"}}`,
	`{"task": {"taskId": "1", "status": "TASK_STATUS_SUCCESS", "observeTime": "` + now + `"}}`,
	`{"task": {"taskId": "2", "status": "TASK_STATUS_NEW", "observeTime": "` + now + `"}}`,
	`{"dropped": {"taskId": "2", "code": "UNAVAILABLE", "reason": "UPSTREAM_STALE", "known": "UPSTREAM_STALE", "message": "m",
		"requestId": "i", "retryAfterSeconds": 1.5}}`,
	`{"resume": {"cause": {"code": "UNAVAILABLE"}, "afterSeconds": 0.8, "taskIds": ["2", "1"]}}`,
	`{"resume": {"cause": {"code": "UNAVAILABLE"}, "afterSeconds": 0.8, "taskIds": ["3"]}}`,
	`{"end": {}}`,
}

// judgeList judges lines, given by their indices in listLines, after replacing texts in them.
func judgeList(t *testing.T, anyOrder bool, order []int, replacing ...string) error {
	t.Helper()
	var all []string
	for _, i := range order {
		all = append(all, strings.NewReplacer(replacing...).Replace(listLines[i]))
	}
	s := scenario{AnyOrder: anyOrder}
	if err := strictly([]byte(wantList), &s.Expect); err != nil {
		t.Fatal(err)
	}
	var got []line
	if err := strictly([]byte("["+strings.Join(all, ",")+"]"), &got); err != nil {
		t.Fatal(err)
	}
	return s.compare(got)
}

var inOrder = []int{0, 1, 2, 3, 4, 5, 6}

func TestCompareInAnyOrder(t *testing.T) {
	for name, row := range map[string]struct {
		order     []int
		any, same bool // Whether it is accepted in any order, and in the same order.
	}{
		"the same order":            {inOrder, true, true},
		"tasks that alternate":      {[]int{2, 0, 3, 1, 4, 5, 6}, true, false},
		"other lines among them":    {[]int{5, 0, 4, 2, 1, 4, 3, 6}, true, false},
		"a task that goes back":     {[]int{1, 0, 2, 3, 4, 5, 6}, false, false},
		"an event after a drop":     {[]int{0, 1, 3, 2, 4, 5, 6}, false, false},
		"a repeated state":          {[]int{0, 0, 1, 2, 3, 4, 5, 6}, false, false},
		"a missing state":           {[]int{0, 2, 3, 4, 5, 6}, false, false},
		"a missing task":            {[]int{0, 1, 4, 5, 6}, false, false},
		"a missing resume":          {[]int{0, 1, 2, 3, 4, 6}, false, false},
		"a resume too many":         {[]int{0, 1, 2, 3, 4, 5, 5, 6}, false, false},
		"a resume that may repeat":  {[]int{0, 1, 2, 3, 4, 4, 5, 6}, true, true},
		"no line, as after a crash": {nil, false, false},
		"a missing end":             {[]int{0, 1, 2, 3, 4, 5}, false, false},
	} {
		if err := judgeList(t, true, row.order); (err == nil) != row.any {
			t.Errorf("%s, in any order: %v", name, err)
		}
		if err := judgeList(t, false, row.order); (err == nil) != row.same {
			t.Errorf("%s, in order: %v", name, err)
		}
	}
}

// Each difference is noticed, with and without an order.
func TestCompareRefusesOtherLists(t *testing.T) {
	for _, replacing := range [][]string{
		{`"taskId": "2", "code"`, `"taskId": "1", "code"`},
		{`"taskId": "2"`, `"taskId": "4"`},
		{`UPSTREAM_STALE`, `SERVER_ERROR`},
		{`1.5`, `null`},
		{`"i"`, `""`},
		{`["2", "1"]`, `["2"]`},
		{`, "taskIds": ["3"]`, ``},
		{`, "taskIds": ["3"]`, `, "taskIds": []`},
	} {
		for _, anyOrder := range []bool{true, false} {
			if err := judgeList(t, anyOrder, inOrder, replacing...); err == nil {
				t.Errorf("%s may be %s, in any order: %t", replacing[0], replacing[1], anyOrder)
			}
		}
	}
}

func TestTaskIDs(t *testing.T) {
	for text, want := range map[string][]string{
		`["7", "5"]`:                 {"7", "5"},
		`{"first": "9", "count": 3}`: {"9", "10", "11"},
	} {
		var got taskIDs
		if err := strictly([]byte(text), &got); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{`"7"`, `{"first": "x", "count": 1}`, `{"first": "1", "last": "2"}`, `null`} {
		var got taskIDs
		if err := strictly([]byte(text), &got); err == nil {
			t.Errorf("%s is accepted: %q", text, got)
		}
	}
	// Only the calls of lists have ids, and an empty list is one.
	if got := show(command{TaskIDs: taskIDs{}}); !strings.Contains(got, `"taskIds":[]`) {
		t.Error(got)
	}
	if got := show(command{}); strings.Contains(got, "taskIds") {
		t.Error(got)
	}
}
