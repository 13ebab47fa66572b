package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// A flag that no code reads would be accepted and do nothing. kong itself obeys --version.
func TestFlagsAreRead(t *testing.T) {
	listed, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range listed.GoFiles {
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	// The imports stay unresolved, since the flags are fields of this package. That makes errors, which the compiler would report
	// if they were real.
	info := types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, _ := (&types.Config{Error: func(error) {}}).Check(listed.Name, set, files, &info)

	read := map[types.Object]bool{}
	for _, file := range files {
		assigned := map[ast.Expr]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					assigned[left] = true
				}
			case *ast.SelectorExpr:
				if !assigned[n] {
					read[info.Uses[n.Sel]] = true
				}
			}
			return true
		})
	}
	seen := map[*types.Var]bool{} // Commands share flags.
	eachFlag(pkg.Scope().Lookup("commands").Type(), func(owner types.Type, field *types.Var, name string) {
		if name != "--version" && !read[field] && !seen[field] {
			at := set.Position(field.Pos())
			t.Errorf("cmd/kootask/%s:%d: no code reads %s, which is %s.%s: use it, or remove it there",
				at.Filename, at.Line, name, types.TypeString(owner, types.RelativeTo(pkg)), field.Name())
		}
		seen[field] = true
	})
	if len(seen) < 40 {
		t.Errorf("%d flags found", len(seen))
	}
}

// eachFlag calls visit for each flag and argument in a struct and in those that it contains, with the name on the command line.
func eachFlag(owner types.Type, visit func(owner types.Type, field *types.Var, name string)) {
	fields, _ := owner.Underlying().(*types.Struct)
	for i := range fields.NumFields() {
		field, tag := fields.Field(i), reflect.StructTag(fields.Tag(i))
		if _, nested := field.Type().Underlying().(*types.Struct); nested {
			eachFlag(field.Type(), visit)
			continue
		}
		name := tag.Get("name")
		if name == "" {
			name = strings.ToLower(wordEnd.ReplaceAllString(field.Name(), "$1$3-$2$4"))
		}
		if _, argument := tag.Lookup("arg"); !argument {
			name = "--" + name
		}
		visit(owner, field, name)
	}
}

// wordEnd matches where kong separates the words of a field's name with a hyphen.
var wordEnd = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])`)
