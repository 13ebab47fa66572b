package kootask_test

import (
	"go/ast"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bubbles are the functions that run another one in virtual time.
var bubbles = []string{"synctest.Test", "bubble", "bubbleKnown", "bubbleList", "bothBubbles"}

// A test may sleep only in virtual time: inside a function that is passed to synctest.Test, or to a bubble of its package, which
// passes it on.
func TestSleepsAreInBubbles(t *testing.T) {
	goFiles(t, func(_ string, file *ast.File, set *token.FileSet) {
		eachOpen(file, func(open []ast.Node) {
			if call, ok := open[len(open)-1].(*ast.CallExpr); ok && name(call.Fun) == "time.Sleep" && !calls(open, bubbles) {
				t.Errorf("%v: sleeps in real time: wait for an event, or run the test in synctest.Test", set.Position(call.Pos()))
			}
		})
	})
}

// realWaits are the tests that may wait in real time.
var realWaits = []string{
	"cmd/kootask/serve_pause_test.go", // It stops a process for a time.
	"cmd/kootask/fixture_log_test.go", // The reader of a process's log is slow.
}

// Nor may a test wait for time.After in real time, where no event can end the wait: neither in cmd/kootask, whose tests start
// processes, nor outside a bubble in a test's own function. Elsewhere a helper of a package with bubbles is called in them.
func TestWaitsAreInBubbles(t *testing.T) {
	goFiles(t, func(path string, file *ast.File, set *token.FileSet) {
		if !strings.HasSuffix(path, "_test.go") || slices.Contains(realWaits, path) {
			return
		}
		eachOpen(file, func(open []ast.Node) {
			statement, ok := open[len(open)-1].(*ast.ExprStmt)
			if !ok || !waits(statement) || calls(open, bubbles) {
				return
			}
			if clause, ok := open[len(open)-2].(*ast.CommClause); ok && clause.Comm == statement {
				return
			}
			if inTest(open) || filepath.Dir(path) == "cmd/kootask" {
				t.Errorf("%v: waits in real time: wait for an event, run the test in synctest.Test, or add the file to realWaits in sleeps_test.go with the reason", set.Position(statement.Pos()))
			}
		})
	})
}

// waits reports whether a statement is <-time.After(…).
func waits(s *ast.ExprStmt) bool {
	receive, ok := s.X.(*ast.UnaryExpr)
	if !ok || receive.Op != token.ARROW {
		return false
	}
	call, ok := receive.X.(*ast.CallExpr)
	return ok && name(call.Fun) == "time.After"
}

// inTest reports whether the innermost of the nodes runs as a part of a test's own function, or of one that it passes to t.Run.
func inTest(open []ast.Node) bool {
	f, ok := open[1].(*ast.FuncDecl)
	if !ok || !strings.HasPrefix(f.Name.Name, "Test") {
		return false
	}
	for i, n := range open {
		if _, ok := n.(*ast.FuncLit); ok && !calls(open[i-1:i], []string{"t.Run"}) {
			return false
		}
	}
	return true
}

// eachOpen calls visit for each node of a file, with the nodes around it from the file on; the node itself is the last.
func eachOpen(file *ast.File, visit func(open []ast.Node)) {
	var open []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			open = open[:len(open)-1]
			return true
		}
		open = append(open, n)
		visit(open)
		return true
	})
}

// calls reports whether one of the nodes calls one of the functions.
func calls(open []ast.Node, functions []string) bool {
	return slices.ContainsFunc(open, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		return ok && slices.Contains(functions, name(call.Fun))
	})
}
