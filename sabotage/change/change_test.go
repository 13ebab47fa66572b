package change_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kootask/kootask/sabotage/change"
)

// module makes a module the working directory.
func module(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"go.mod": "module example.org/m\n\ngo 1.26\n",
		"page.js": `// A page.
if (ready) show('it');
`,
		"part/one.go": `package part

import "fmt"

// Limit is 3.
const Limit = 3

const (
	low  = 1
	high = low + 1
)

type box[K comparable, V any] struct{ all map[K]V }

// add keeps v. It does not return v + 1.
func (b *box[K, V]) add(k K, v V) int {
	b.all[k] = v
	fmt.Println(
		len(b.all), // How many there are.
		Limit,
	)
	return len(b.all) + 1
}
`,
		"part/two.go": `package part

import "strings"

func trim(s string) string {
	n := len(s)
	if strings.HasPrefix(s, "x") && n > 1 {
		return s[1:n]
	}
	return s
}
`,
		"part/two_test.go": "package part\n\nfunc tested() {}\n",
		"other/other.go":   "package other\n\nfunc Moved() int { return 7 }\n",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCheck(t *testing.T) {
	module(t)
	rows := []struct {
		name string
		change.Change
		want []string // In the error. Nil: it is valid.
	}{
		{"function", change.Change{In: "part.trim", From: `n > 1`, To: `n > 2`}, nil},
		{"method of a generic type", change.Change{In: "part.box.add", From: `+ 1`, To: `+ 2`}, nil},
		{"constant", change.Change{In: "part.Limit", From: `3`, To: `4`}, nil},
		{"constant of a group", change.Change{In: "part.high", From: `1`, To: `2`}, nil},
		{"type", change.Change{In: "part.box", From: `map[K]V`, To: `map[K] V`}, nil},
		{"file in another language", change.Change{In: "page.js", From: `if(ready)`, To: ``}, nil},
		{"another format", change.Change{In: "part.box.add", From: "fmt.Println(len(b.all), Limit)", To: "fmt.Println()"}, nil},
		{"over several statements", change.Change{In: "part.trim", From: "{ return s[1:n] } return s", To: "{}; return s"}, nil},

		{"same text", change.Change{In: "part.Limit", From: `3`, To: `3`}, []string{"replaces a text with itself"}},
		{"empty", change.Change{In: "part.Limit", From: "// 3", To: `3`}, []string{"empty"}},
		{"comment", change.Change{In: "part.box.add", From: `v + 1`, To: `v`}, []string{"nearest text", "part/one.go:"}},
		{"part of a token", change.Change{In: "part.trim", From: `Prefix(s, "x")`, To: `false`}, []string{"part/two.go:7", `HasPrefix(s, \"x\")`}},
		{"nearest text", change.Change{In: "part.trim", From: `n > 2`, To: `false`}, []string{`"n > 1", at part/two.go:7`}},
		{"nothing similar", change.Change{In: "part.Limit", From: `go func`, To: ``}, []string{"part/one.go:6", "nor anything like it"}},
		{"in another function", change.Change{In: "part.trim", From: `len(b.all) + 1`, To: `1`}, []string{"part.box.add contains the text", "part/one.go:22"}},
		{"twice", change.Change{In: "part.trim", From: `s`, To: `""`}, []string{"5 times", "part/two.go:5, part/two.go:6"}},
		{"renamed", change.Change{In: "part.trin", From: `n > 1`, To: `true`}, []string{"there is no part.trin", "part.trim, at part/two.go:5", "part.trim contains the text"}},
		{"moved to another package", change.Change{In: "part.Moved", From: `7`, To: `8`}, []string{"other.Moved, at other/other.go:3"}},
		{"no such package", change.Change{In: "others.Moved", From: `7`, To: `8`}, []string{"there is no package others", "other.Moved, at other/other.go:3"}},
		{"test", change.Change{In: "part.tested", From: `{}`, To: `{;}`}, []string{"there is no part.tested"}},
		{"syntax", change.Change{In: "part.trim", From: `n > 1`, To: `n >`}, []string{"does not compile", "part/two.go:7"}},
		{"unknown name", change.Change{In: "part.trim", From: `n > 1`, To: `m > 1`}, []string{"does not compile", "undefined: m"}},
		{"unused import", change.Change{In: "part.trim", From: `strings.HasPrefix(s, "x") &&`, To: ``}, []string{"does not compile", `"strings" imported and not used`}},
		{"unused variable", change.Change{In: "part.trim", From: `&& n > 1 { return s[1:n] }`, To: `{}`}, []string{"does not compile", "declared and not used: n"}},
		{"wrong type", change.Change{In: "part.high", From: `low`, To: `"low"`}, []string{"does not compile"}},
	}
	changes := make([]change.Change, len(rows))
	for i, row := range rows {
		changes[i] = row.Change
	}
	errs, err := change.Check(t.Context(), changes)
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if (errs[i] == nil) != (row.want == nil) {
			t.Errorf("%s: %v", row.name, errs[i])
			continue
		}
		for _, want := range row.want {
			if !strings.Contains(errs[i].Error(), want) {
				t.Errorf("%s: %v, without %q", row.name, errs[i], want)
			}
		}
	}
}

// Without a module that compiles, nothing can be said about changes to it.
func TestCheckOfAModuleThatDoesNotCompile(t *testing.T) {
	module(t)
	if err := os.WriteFile("part/three.go", []byte("package part\n\nvar wrong int = \"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := change.Check(t.Context(), []change.Change{{In: "part.Limit", From: `3`, To: `4`}})
	if err == nil || !strings.Contains(err.Error(), "three.go:3") {
		t.Error(err)
	}
}

func TestOverlay(t *testing.T) {
	module(t)
	flag, err := change.Change{In: "part.trim", From: `n>1`, To: `n > 2`}.Overlay(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := os.ReadFile(strings.TrimPrefix(flag, "-overlay="))
	if err != nil {
		t.Fatal(err)
	}
	copied := strings.Split(string(overlay), `"`)[5]
	text, err := os.ReadFile(copied)
	if err != nil || !strings.Contains(string(text), `if strings.HasPrefix(s, "x") && n > 2 {`) {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := (change.Change{In: "part.trim", From: `n > 3`, To: `n > 2`}).Overlay(t.TempDir()); err == nil {
		t.Error("a change that does not apply has an overlay")
	}
}
