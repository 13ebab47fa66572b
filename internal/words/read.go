package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// text is a paragraph, a table cell or a string, on one line.
type text struct {
	path  string // From the root of the tree.
	line  int    // Where it begins.
	words string
	prose bool // In a document, where the length of sentences counts.
	title bool // A heading.
}

// generated are the documents that are generated from texts which are checked themselves.
var generated = []string{"docs/contract.md"}

// read returns the texts of the tree at root.
func read(root string) (texts []text, err error) {
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		path, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		if entry.IsDir() {
			base := entry.Name()
			skipped := []string{"node_modules", "target", "gen", "words"}
			if path != "." && (strings.HasPrefix(base, ".") || slices.Contains(skipped, base)) {
				return filepath.SkipDir
			}
			return nil
		}
		reader := readerOf(path)
		if reader == nil {
			return nil
		}
		source, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		found, err := reader(string(source))
		for _, t := range found {
			t.path, t.words = path, plain(t.words)
			texts = append(texts, t)
		}
		return err
	})
	return texts, err
}

// readerOf returns the function that finds the texts in a file; nil for files without texts for users.
func readerOf(path string) func(source string) ([]text, error) {
	document := regexp.MustCompile(`^([A-Z]+|docs/[a-z-]+|clients/[a-z]+/README)\.md$`)
	switch {
	case document.MatchString(path) && !slices.Contains(generated, path):
		return markdown
	case strings.HasSuffix(path, ".proto"):
		return comments("//")
	case path == "service/gateway/openapi.yaml":
		return descriptions
	case path == "service/gateway/console/text.js":
		return page
	case path == "Makefile":
		return targets
	case strings.HasSuffix(path, ".html"):
		return elements
	case strings.HasPrefix(path, "sabotage/promise_"):
		return promises
	case strings.HasSuffix(path, "_test.go"), strings.HasPrefix(path, "sabotage/"),
		strings.HasPrefix(path, "clients/conformance/"):
		return nil
	case strings.HasSuffix(path, ".go"):
		return literals
	}
	return nil
}

var (
	code  = regexp.MustCompile("`[^`]*`")
	link  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	verbs = regexp.MustCompile(`%[-+#0-9.*]*[a-zA-Z]`)
)

// plain removes markup, so that only words are left.
func plain(s string) string {
	s = link.ReplaceAllString(code.ReplaceAllString(s, "x"), "$1")
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "**", "")), " ")
}

var item = regexp.MustCompile(`^\s*([-*]|\d+\.) `)

// markdown returns the paragraphs, list items and table cells of a document, without code and without generated tables.
func markdown(source string) (texts []text, _ error) {
	var fenced, made, open bool
	for i, line := range strings.Split(source, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			fenced, open = !fenced, false
		case fenced, strings.HasPrefix(line, "    ") && !open:
		case strings.HasPrefix(trimmed, "<!--"):
			made, open = strings.HasPrefix(trimmed, "<!-- generated"), false
		case made:
		case trimmed == "":
			open = false
		case strings.HasPrefix(trimmed, "|"):
			open = false
			for _, cell := range strings.Split(strings.Trim(trimmed, "|"), " | ") {
				texts = append(texts, text{line: i + 1, words: cell, prose: true})
			}
		case strings.HasPrefix(trimmed, "#"):
			open = false
			texts = append(texts, text{line: i + 1, words: strings.TrimLeft(trimmed, "# "), title: true})
		case open && !item.MatchString(line):
			texts[len(texts)-1].words += " " + trimmed
		default:
			open = true
			texts = append(texts, text{line: i + 1, words: item.ReplaceAllString(line, ""), prose: true})
		}
	}
	return texts, nil
}

// comments returns a reader of the comment paragraphs in a file. prefix begins a comment. Indented lines are tables.
func comments(prefix string) func(string) ([]text, error) {
	return func(source string) (texts []text, _ error) {
		open := false
		for i, line := range strings.Split(source, "\n") {
			words, is := strings.CutPrefix(strings.TrimSpace(line), prefix)
			switch {
			case !is || strings.TrimSpace(words) == "":
				open = false
			case open && !strings.HasPrefix(words, "     "):
				texts[len(texts)-1].words += words
			default:
				open = true
				texts = append(texts, text{line: i + 1, words: words, prose: !strings.HasPrefix(words, "     ")})
			}
		}
		return texts, nil
	}
}

var described = regexp.MustCompile(`^(\s*)(- )?(.*\b)?(description|summary): *(.*)$`)

// descriptions returns the descriptions in an OpenAPI document. Each is on the line of its key or in the block below.
func descriptions(source string) (texts []text, _ error) {
	lines := strings.Split(source, "\n")
	for i := 0; i < len(lines); i++ {
		m := described.FindStringSubmatch(lines[i])
		if m == nil {
			continue
		}
		if words := strings.TrimSuffix(strings.Trim(m[5], `'"`), "}"); words != "|" {
			texts = append(texts, text{line: i + 1, words: words, prose: true})
			continue
		}
		indent, open := len(m[1])+2, false
		block := func(line string) bool {
			return line == "" || len(line) > indent && strings.TrimSpace(line[:indent]) == ""
		}
		for i++; i < len(lines) && block(lines[i]); i++ {
			trimmed := strings.TrimSpace(lines[i])
			switch {
			case trimmed == "" || strings.HasPrefix(lines[i][indent:], "    "):
				open = false
			case open:
				texts[len(texts)-1].words += " " + trimmed
			default:
				open = true
				texts = append(texts, text{line: i + 1, words: trimmed, prose: true})
			}
		}
		i--
	}
	return texts, nil
}

var quoted = regexp.MustCompile(`: ('[^']*'|"[^"]*")`)

// page returns the English texts of the page.
func page(source string) (texts []text, _ error) {
	english, _, _ := strings.Cut(source, "'zh-CN': {")
	for i, line := range strings.Split(english, "\n") {
		for _, m := range quoted.FindAllStringSubmatch(line, -1) {
			texts = append(texts, text{line: i + 1, words: m[1][1 : len(m[1])-1]})
		}
	}
	return texts, nil
}

var (
	target  = regexp.MustCompile(`^[a-z-]+:.*## (.*)`)
	element = regexp.MustCompile(`>([^<>{}]*[a-z] [^<>{}]*)<`)
)

// targets returns the help of the targets in a Makefile.
func targets(source string) ([]text, error) { return matches(target, source), nil }

// elements returns the texts of an HTML page between its tags.
func elements(source string) ([]text, error) { return matches(element, source), nil }

// matches returns the first group of each match in a line.
func matches(pattern *regexp.Regexp, source string) (texts []text) {
	for i, line := range strings.Split(source, "\n") {
		for _, m := range pattern.FindAllStringSubmatch(line, -1) {
			texts = append(texts, text{line: i + 1, words: m[1], prose: true})
		}
	}
	return texts
}

// promises returns the texts of the promises in a table of sabotages.
func promises(source string) (texts []text, _ error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, 0)
	if err != nil {
		return nil, err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if field, is := n.(*ast.KeyValueExpr); is {
			if name, is := field.Key.(*ast.Ident); is && name.Name == "text" {
				words, _ := sum(field.Value)
				texts = append(texts, text{line: set.Position(field.Pos()).Line, words: words, prose: true})
			}
		}
		return true
	})
	return texts, nil
}

// literals returns the strings in Go code that may be sentences: those with a space. For a struct tag, it returns the
// help. The length of whole sentences counts, since many of them are in generated tables.
func literals(source string) (texts []text, _ error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, 0)
	if err != nil {
		return nil, err
	}
	var visit func(ast.Node) bool
	visit = func(n ast.Node) bool {
		expression, is := n.(ast.Expr)
		if !is {
			return true
		}
		words, is := sum(expression)
		if !is {
			return true
		}
		if help, tagged := reflect.StructTag(words).Lookup("help"); tagged {
			words = help
		}
		if strings.Contains(words, " ") {
			words = verbs.ReplaceAllString(words, "x")
			texts = append(texts, text{line: set.Position(n.Pos()).Line, words: words, prose: sentence.MatchString(words)})
		}
		for _, other := range operands(expression) {
			ast.Inspect(other, visit)
		}
		return false
	}
	ast.Inspect(file, visit)
	return texts, nil
}

// operands returns the operands of a sum for which x stands.
func operands(e ast.Expr) []ast.Expr {
	b, is := e.(*ast.BinaryExpr)
	switch _, text := e.(*ast.BasicLit); {
	case text:
		return nil
	case is && b.Op == token.ADD:
		return append(operands(b.X), operands(b.Y)...)
	}
	return []ast.Expr{e}
}

var sentence = regexp.MustCompile(`(?s)^[A-Z].*\.$`)

// sum returns the text of a string literal, or of a sum with one in it, where x stands for the other operands.
func sum(e ast.Expr) (words string, is bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "x", false
		}
		words, err := strconv.Unquote(e.Value)
		return words, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "x", false
		}
		left, isLeft := sum(e.X)
		right, isRight := sum(e.Y)
		return left + right, isLeft || isRight
	}
	return "x", false
}
