package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// The script of docs/watching.md watches a task with an EventSource, from the ticket to the end, and reports a failure.
func TestDocumentedEventSource(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	running := koodrivetest.Step{Status: koodrivetest.StatusExecuting, For: time.Second}
	for id, last := range map[string]koodrivetest.Step{
		"succeeds": {Status: koodrivetest.StatusSuccess}, "refused": {Fault: koodrivetest.Answer(http.StatusUnauthorized, "")},
	} {
		s.koodrive.SetTask(koodrivetest.Task{ID: id, Steps: []koodrivetest.Step{running, last}})
	}
	p := openTab(t, s.url)
	defer p.judge(t)
	_, after, _ := strings.Cut(text(t, "docs/watching.md"), "```js\n")
	script, _, found := strings.Cut(after, "```")
	if !found {
		t.Fatal("docs/watching.md has no script: correct the test")
	}
	for id, want := range map[string][]string{
		"succeeds": {"TASK_STATUS_EXECUTING", "TASK_STATUS_SUCCESS"},
		"refused":  {"TASK_STATUS_EXECUTING", "KooDrive rejected the credential. Get a new one."},
	} {
		seen := eval[[]string](t, p, fmt.Sprintf(`(async () => {
			%s
			const seen = [];
			await watch(%q, %q, (task) => seen.push(task.status)).catch((error) => seen.push(error.message));
			return seen;
		})()`, script, id, pageToken))
		if !slices.Equal(seen, want) {
			t.Errorf("docs/watching.md: the script sees %q of the task %s, want %q", seen, id, want)
		}
	}
}
