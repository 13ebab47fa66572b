// Package kootask_test checks rules for the whole tree: the imports that each package may have, and calls that are forbidden.
package kootask_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kootask/kootask/"

// imports are the packages of this module that a package may import; a test may import more. Every package has a row, unless it is
// part of a program: those may import everything, and nothing else imports them.
var imports = map[string][]string{
	"clients/go":              {"gen/koodrive/task/v1", "internal/ascii"},
	"dialect":                 {"internal/strictyaml"},
	"gen/koodrive/task/v1":    {},
	"internal/bounded":        {},
	"internal/dial":           {},
	"internal/docpage":        {},
	"internal/expiring":       {},
	"internal/jsonline":       {},
	"internal/unpack":         {},
	"internal/secret":         {},
	"internal/canaries":       {},
	"internal/certificates":   {},
	"internal/history":        {},
	"internal/ascii":          {},
	"internal/loopback":       {},
	"internal/panics":         {},
	"internal/strictyaml":     {},
	"internal/taskid":         {},
	"internal/version":        {},
	"upstream":                {"internal/ascii", "internal/bounded", "internal/dial", "internal/panics", "internal/secret", "internal/taskid", "internal/unpack", "internal/version"},
	"upstream/koodrivetest":   {},
	"internal/rates":          {},
	"service/quota":           {"internal/expiring", "internal/rates", "service/reason", "upstream"},
	"service/ask":             {"internal/expiring", "internal/panics", "service/caller", "service/observe", "service/quota", "service/reason", "upstream"},
	"service/watch":           {"internal/expiring", "internal/panics"},
	"service/observe":         {"internal/expiring", "internal/panics"},
	"service/reason":          {"gen/koodrive/task/v1"},
	"service/caller":          {"internal/ascii", "internal/secret", "internal/taskid", "service/reason"},
	"service/auth":            {"gen/koodrive/task/v1", "internal/ascii", "internal/bounded", "internal/dial", "internal/expiring", "internal/loopback", "internal/rates", "internal/unpack", "service/caller", "service/reason"},
	"service/auth/issuertest": {},
	"service/message":         {},
	"service/gateway":         {"gen/koodrive/task/v1", "internal/ascii", "internal/jsonline", "internal/loopback", "internal/panics", "internal/rates", "service/auth", "service/caller", "service/message", "service/reason"},
	"service/rpcserver":       {"gen/koodrive/task/v1", "internal/panics", "internal/taskid", "service/caller", "service/message", "service/observe", "service/reason"},
	"service":                 {"gen/koodrive/task/v1", "internal/ascii", "internal/panics", "internal/taskid", "service/ask", "service/caller", "service/message", "service/quota", "service/reason", "service/watch", "upstream"},
}

// goFiles calls visit for each Go file of the tree.
func goFiles(t *testing.T, visit func(path string, file *ast.File, set *token.FileSet)) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(path), file, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// programs are the folders of the programs, each with all below it. The tests of the root are one of them.
var programs = []string{"bench", "clients/conformance", "clients/go/conformance", "clients/plain/waiter", "cmd", "internal/words", "packaging", "sabotage"}

// isProgram reports whether a package is part of a program.
func isProgram(from string) bool {
	return from == "." || slices.ContainsFunc(programs, func(p string) bool { return from == p || strings.HasPrefix(from, p+"/") })
}

// importsOfCmd are the tests outside cmd that import it.
var importsOfCmd = []string{
	"clients/go/example_test.go", // An example runs against a real server, and go doc shows it only beside its package.
}

// ours returns the packages of ours that a file imports.
func ours(file *ast.File) (all []string) {
	for _, spec := range file.Imports {
		name, _ := strconv.Unquote(spec.Path.Value)
		if to, ok := strings.CutPrefix(name, module); ok {
			all = append(all, to)
		}
	}
	return all
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	goFiles(t, func(path string, file *ast.File, _ *token.FileSet) {
		from, isTest := filepath.ToSlash(filepath.Dir(path)), strings.HasSuffix(path, "_test.go")
		allowed, known := imports[from]
		if !known && !seen[from] && !isProgram(from) {
			t.Errorf("%s: the package has no row: add %q to imports in layout_test.go, with what it may import", path, from)
		}
		seen[from] = true
		for _, to := range ours(file) {
			switch {
			case strings.HasPrefix(to, "cmd/"):
				if !strings.HasPrefix(from, "cmd/") && !slices.Contains(importsOfCmd, path) {
					t.Errorf("%s imports %s: only packages below cmd may: move the code that it needs to a package outside cmd", path, to)
				}
			case !isTest && !isProgram(from) && !slices.Contains(allowed, to):
				t.Errorf("%s imports %s: if it should, add it to the row %q of imports in layout_test.go", path, to, from)
			}
		}
		// Programs in Go are tested with the double, and should not need the server's dependencies for that.
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if from == "upstream/koodrivetest" && !isTest && strings.Contains(name, ".") && !strings.HasPrefix(name, "github.com/go-json-experiment/json") {
				t.Errorf("%s imports %s, but may import only the standard library and go-json-experiment/json", path, name)
			}
		}
	})
	for _, from := range append(slices.Sorted(maps.Keys(imports)), programs...) {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(s string) bool { return s == from || isProgram(from) && strings.HasPrefix(s, from+"/") }) {
			t.Errorf("there is no package %s: remove it from imports or programs in layout_test.go", from)
		}
	}
}

// longest is the number of imports on the longest path from a program to a leaf. A reader follows each of them.
const longest = 6

func TestImportPaths(t *testing.T) {
	imported := map[string]map[string]bool{}
	goFiles(t, func(path string, file *ast.File, _ *token.FileSet) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		from := filepath.ToSlash(filepath.Dir(path))
		if imported[from] == nil {
			imported[from] = map[string]bool{}
		}
		for _, to := range ours(file) {
			imported[from][to] = true
		}
	})
	below := map[string][]string{} // The longest path from each package, itself first.
	var follow func(from string) []string
	follow = func(from string) []string {
		if below[from] == nil {
			var most []string
			for _, to := range slices.Sorted(maps.Keys(imported[from])) {
				if path := follow(to); len(path) > len(most) {
					most = path
				}
			}
			below[from] = append([]string{from}, most...)
		}
		return below[from]
	}
	for _, from := range slices.Sorted(maps.Keys(imported)) {
		if path := follow(from); len(path)-1 > longest {
			t.Errorf("%s: %d imports, of at most %d: let one of these packages do without the next", strings.Join(path, " → "), len(path)-1, longest)
		}
	}
}

// In the server, one constructor builds gRPC servers, and one package builds statuses.
func TestOnePlace(t *testing.T) {
	places := map[string][]string{
		"grpc.NewServer": {"service/rpcserver/server.go"},
		"status.New":     {"service/reason/error.go"},
		"status.Error":   nil,
		"status.Errorf":  nil,
	}
	goFiles(t, func(path string, file *ast.File, set *token.FileSet) {
		if strings.HasPrefix(path, "gen/") || strings.HasPrefix(path, "clients/") || strings.HasPrefix(path, "bench/") || strings.HasSuffix(path, "_test.go") {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if allowed, watched := places[name(call.Fun)]; watched && !slices.Contains(allowed, path) {
				t.Errorf("%v: %s may be called only in %q: call what is there, such as reason.Error", set.Position(call.Pos()), name(call.Fun), allowed)
			}
			return true
		})
	})
}

// name returns the function of a call, with its package if it is written.
func name(fun ast.Expr) string {
	switch f := fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name + "." + f.Sel.Name
		}
	}
	return ""
}

// A comment stands above its declaration: none is left behind at the end of a file, and no line of one begins with the name of
// another declaration of the package, as that one's comment would.
func TestCommentsStandWhereTheyBelong(t *testing.T) {
	names := map[string]map[string]bool{} // Declared names, by folder.
	type comment struct {
		folder string
		own    []string
		doc    *ast.CommentGroup
	}
	var comments []comment
	goFiles(t, func(path string, file *ast.File, set *token.FileSet) {
		folder := filepath.Dir(path)
		if names[folder] == nil {
			names[folder] = map[string]bool{}
		}
		end := file.FileStart
		for _, decl := range file.Decls {
			own, doc := declared(decl)
			for _, name := range own {
				names[folder][name] = true
			}
			if doc != nil {
				comments = append(comments, comment{folder, own, doc})
			}
			end = decl.End()
		}
		for _, group := range file.Comments {
			if group.Pos() > end && !strings.HasPrefix(path, "gen/") && set.Position(group.Pos()).Line > set.Position(end).Line {
				t.Errorf("%v: a comment at the end of a file: move it above what it is about", set.Position(group.Pos()))
			}
			if before := functionAfter(set, file, group); before != "" && group.Pos() > file.Name.End() {
				t.Errorf("%v: a comment that belongs to nothing, above %s: move it above what it is about, or remove it", set.Position(group.Pos()), before)
			}
		}
	})
	for _, c := range comments {
		lines := strings.Split(c.doc.Text(), "\n")
		for i := 1; i < len(lines); i++ {
			name, _, _ := strings.Cut(lines[i], " ")
			if strings.HasSuffix(lines[i-1], ".") && names[c.folder][name] && !slices.Contains(c.own, name) {
				t.Errorf("%s: the comment of %q has a line about %s: move it there, or begin the line with another word", c.folder, c.own, name)
			}
		}
	}
}

// functionAfter returns the name of the function that follows a comment which is not its own; empty if something else
// follows, or if the comment is inside a declaration or at the end of its line.
func functionAfter(set *token.FileSet, file *ast.File, group *ast.CommentGroup) string {
	for _, decl := range file.Decls {
		switch f, isFunc := decl.(*ast.FuncDecl); {
		case decl.End() < group.Pos():
			if set.Position(decl.End()).Line == set.Position(group.Pos()).Line {
				return ""
			}
			continue
		case isFunc && group.End() < f.Type.Pos() && f.Doc != group:
			return f.Name.Name
		}
		return ""
	}
	return ""
}

// declared returns the names of a declaration, and its comment.
func declared(decl ast.Decl) (names []string, doc *ast.CommentGroup) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return []string{d.Name.Name}, d.Doc
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name.Name)
			case *ast.ValueSpec:
				for _, name := range s.Names {
					names = append(names, name.Name)
				}
			}
		}
		return names, d.Doc
	}
	return nil, nil
}

// Tests are skipped only for the causes that .ci/missing reports, so that nothing is left out silently.
func TestSkipsAreReported(t *testing.T) {
	goFiles(t, func(path string, file *ast.File, set *token.FileSet) {
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if fun, ok := call.Fun.(*ast.SelectorExpr); ok && slices.Contains([]string{"Skip", "Skipf", "SkipNow"}, fun.Sel.Name) && path != "cmd/kootask/fixture_need_test.go" {
				t.Errorf("%v: call notTried, of cmd/kootask/fixture_need_test.go", set.Position(call.Pos()))
			}
			return true
		})
	})
}
