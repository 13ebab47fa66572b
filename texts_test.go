package kootask_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/code"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// A path in a text is quoted code with a slash in it, or the target of a link. It begins at the root or in the text's folder.
var (
	quoted = regexp.MustCompile("`((?:[A-Za-z0-9_.-]+/)+[A-Za-z0-9_.-]*)`")
	linked = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
)

// documents returns the paths of all texts for users.
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
		var paths []string // With the heading that is meant, if one is.
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
				t.Errorf("%s: names %s, which does not exist: correct the path there, or add it to notPath in texts_test.go if it is not a path", where(text, strings.TrimPrefix(path, filepath.Dir(document)+"/"), document), path)
			} else if deep && !slices.Contains(headings(t, path), heading) {
				t.Errorf("%s: there is no heading #%s in %s: correct the link", where(text, "#"+heading, document), heading, path)
			}
		}
		found += len(paths)
	}
	if found < 20 {
		t.Errorf("%d paths found", found)
	}
}

// where returns a document with the line of its first occurrence of a name, for messages.
func where(text []byte, name, document string) string {
	before, _, found := strings.Cut(string(text), name)
	if !found {
		return document
	}
	return document + ":" + strconv.Itoa(1+strings.Count(before, "\n"))
}

// notPath matches texts that only look like a path: media types, packages and built files.
var notPath = regexp.MustCompile(`^((application|audio|image|multipart|text|video)/.*|testing/synctest|cloud\.google\.com/.*|` + module + `.*|(target|dist|bin)/.*)$`)

var (
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	unsaid  = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// headings returns the headings of a text, in the form of links.
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

var (
	shouted = regexp.MustCompile("`([A-Z]+(?:_[A-Z0-9]+)+)`")
	// environment matches environment variables: kootask's own, and those of the programs around it.
	environment = regexp.MustCompile(`^(KOOTASK_.*|NODE_.*|GRPC_.*|LC_.*|NO_COLOR)$`)
)

// Every name in capitals in a text is a name of the contract, a gRPC code or an environment variable. The operators' page
// names outcomes too.
func TestNamesInTextsExist(t *testing.T) {
	found := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range shouted.FindAllStringSubmatch(string(text), -1) {
			name := m[1]
			known := environment.MatchString(name) || document == "docs/metrics.md" && isOutcome(name)
			if _, ok := taskv1.TaskType_value["TASK_TYPE_"+name]; ok && document == "docs/koodrive.md" { // A dialect has short names.
				known = true
			}
			for _, values := range []map[string]int32{
				taskv1.ErrorReason_value, taskv1.TaskStatus_value, taskv1.TaskType_value, taskv1.ResultCode_value, code.Code_value,
			} {
				_, ok := values[name]
				known = known || ok
			}
			if !known {
				t.Errorf("%s names %s, which is neither in the contract nor a gRPC code: correct it there, or add it to environment in texts_test.go if it is an environment variable", where(text, name, document), name)
			}
			found++
		}
	}
	if found < 50 {
		t.Errorf("%d names found", found)
	}
}

func isOutcome(name string) bool {
	return slices.ContainsFunc(reason.Outcomes(), func(o reason.Outcome) bool { return o.Name == name })
}

var (
	target = regexp.MustCompile(`(?m)^([a-z-]+):`)
	made   = regexp.MustCompile("(?m)^(?:stage \\S+ )?make ([a-z-]+)$|`make ([a-z-]+)`")
)

// targets returns the targets of the Makefile in a folder, if it has one.
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

// Every make target that a text or .ci/run names is there: of a client's README in its own folder, or at the root.
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
				t.Errorf("%s names make %s, but the Makefile has no such target: correct it there", where(text, "make "+name, document), name)
			}
		}
	}
	if found < 20 {
		t.Errorf("%d targets found", found)
	}
}

var metric = regexp.MustCompile(`\bkootask_[a-z_]+`)

// Every metric that a text names is in the table of docs/metrics.md, which make docs writes.
func TestMetricsInTextsExist(t *testing.T) {
	page, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range metric.FindAllString(string(text), -1) {
			if !strings.Contains(string(page), "\n| `"+regexp.MustCompile(`_(bucket|count|sum)$`).ReplaceAllString(name, "")+"` |") {
				t.Errorf("%s names the metric %s, which does not exist: correct it there, or run make docs if it is new", where(text, name, document), name)
			}
			found++
		}
	}
	if found < 30 {
		t.Errorf("%d metrics found", found)
	}
}
