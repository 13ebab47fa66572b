package kootask_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/code"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// documents are all texts for people.
func documents(t *testing.T) (paths []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "clients/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// Every path in a text exists.
func TestPathsInTextsExist(t *testing.T) {
	found := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string // With the heading, if the link names one.
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			if notPath.MatchString(m[1]) {
				continue
			}
			path := m[1]
			if _, err := os.Stat(path); err != nil {
				path = filepath.Join(filepath.Dir(document), path)
			}
			paths = append(paths, path)
		}
		for _, m := range linked.FindAllStringSubmatch(string(text), -1) {
			path := document
			if m[1] != "" {
				path = filepath.Join(filepath.Dir(document), m[1])
			}
			paths = append(paths, path+m[2])
		}
		for _, path := range paths {
			path, heading, deep := strings.Cut(path, "#")
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", document, err)
			} else if deep && !slices.Contains(headings(t, path), heading) {
				t.Errorf("%s: there is no #%s in %s", document, heading, path)
			}
		}
		found += len(paths)
	}
	if found < 20 {
		t.Errorf("%d paths found", found)
	}
}

// notPath matches text that only looks like a path, and paths of build results.
var notPath = regexp.MustCompile(`^(text/event-stream|application/x-ndjson|testing/synctest|` + module + `.*|(target|dist|bin)/.*)$`)

// headings returns the headings of a text, as links name them.
func headings(t *testing.T, path string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		all = append(all, strings.ReplaceAll(unsaid.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return all
}

// Every name in capitals in a text is one of the contract's, a gRPC code or an environment variable.
func TestNamesInTextsExist(t *testing.T) {
	found := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range shouted.FindAllStringSubmatch(string(text), -1) {
			name := m[1]
			known := environment.MatchString(name)
			for _, values := range []map[string]int32{
				taskv1.ErrorReason_value, taskv1.TaskStatus_value, taskv1.TaskType_value, taskv1.ResultCode_value, code.Code_value,
			} {
				_, ok := values[name]
				known = known || ok
			}
			if !known {
				t.Errorf("%s names %s, which does not exist", document, name)
			}
			found++
		}
	}
	if found < 50 {
		t.Errorf("%d names found", found)
	}
}

// targets returns the make targets of a folder's Makefile, if it has one.
func targets(folder string) (all []string) {
	makefile, err := os.ReadFile(filepath.Join(folder, "Makefile"))
	if err != nil {
		return nil
	}
	for _, m := range target.FindAllStringSubmatch(string(makefile), -1) {
		all = append(all, m[1])
	}
	return all
}

// Every make target that a text or .ci/run names exists: for a client's README in its own folder, or at the root.
func TestMakeTargetsExist(t *testing.T) {
	found := 0
	for _, document := range append(documents(t), ".ci/run") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		known := append(targets("."), targets(filepath.Dir(document))...)
		for _, m := range made.FindAllStringSubmatch(string(text), -1) {
			found++
			if name := m[1] + m[2]; !slices.Contains(known, name) {
				t.Errorf("%s names make %s", document, name)
			}
		}
	}
	if found < 20 {
		t.Errorf("%d targets found", found)
	}
}
