package taskid_test

import (
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/taskid"
)

func TestValid(t *testing.T) {
	for id, want := range map[string]bool{
		"1534087020903704704": true, "a": true, "-_Z9": true, "list": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a/b": false, "a\n": false, "a.b": false, "ä": false, "\xff": false,
	} {
		if got := taskid.Valid(id); got != want {
			t.Errorf("Valid(%q) = %v", id, got)
		}
	}
}

func TestOfOperation(t *testing.T) {
	for name, want := range map[string]string{"operations/1": "1", "operations/a b/c": "a b/c", "operations/": ""} {
		if got, ok := taskid.OfOperation(name); got != want || !ok {
			t.Errorf("OfOperation(%q) = %q, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "1", "operations", "Operations/1", "/operations/1", "tasks/operations/1"} {
		if got, ok := taskid.OfOperation(name); got != "" || ok {
			t.Errorf("OfOperation(%q) = %q", name, got)
		}
	}
}
