// Package strictyaml reads a YAML document of one mapping, and reports all its problems at once, each with its line and key.
// Unlike a decoder into structs, it refuses unknown and repeated keys and texts that look like numbers, and no problem quotes a
// value: a secret may be in the wrong place.
//
//	r := &strictyaml.Reader{}
//	err := r.Read(text, func(n *yaml.Node, path string) {
//		r.Mapping(n, path, map[string]func(*yaml.Node, string){
//			"date": func(n *yaml.Node, path string) { r.Boolean(n, path, &date) },
//		})
//	})
//
// The package does not know any keys, and does not open files.
package strictyaml

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Reader reads a document and collects its problems. Its zero value is ready. It is not safe for concurrent use.
type Reader struct{ problems []error }

// Read calls root for the only document of a text, unless the text is empty. The error has a line for each problem:
// "7: codes[2].reason: …".
func (r *Reader) Read(text []byte, root func(n *yaml.Node, path string)) error {
	if i := bytes.IndexFunc(text, unreadable); i >= 0 {
		return fmt.Errorf("%d: it has a control character, or is not UTF-8", lineAt(text, i))
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var document, second yaml.Node
	switch err := dec.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return syntax(text, err)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		return fmt.Errorf("%d: it must be a single document", second.Line)
	case !errors.Is(err, io.EOF):
		return syntax(text, err)
	}
	root(document.Content[0], "")
	return errors.Join(r.problems...)
}

// unreadable matches control characters, except tabs and line breaks, and the replacement of invalid UTF-8.
func unreadable(r rune) bool {
	return unicode.IsControl(r) && !strings.ContainsRune("\t\r\n", r) || r == utf8.RuneError
}

// lineAt returns the line of a place in a text.
func lineAt(text []byte, i int) int { return 1 + bytes.Count(text[:i], []byte("\n")) }

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)
	// anchor is the only message of the YAML library that quotes the document.
	anchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntax converts an error of the YAML library. The document is not quoted: a secret may be in the wrong place.
func syntax(text []byte, err error) error {
	line, message := "1", "it cannot be parsed"
	if parts := yamlLine.FindStringSubmatch(err.Error()); parts != nil {
		line, message = cmp.Or(parts[1], line), parts[2]
	}
	if quoted := anchor.FindStringSubmatch(message); quoted != nil {
		line, message = strconv.Itoa(lineAt(text, max(0, bytes.Index(text, []byte("*"+quoted[1]))))), "unknown anchor"
	}
	return fmt.Errorf("%s: it is not YAML: %s", line, message)
}

// Problem notes a problem at a node.
func (r *Reader) Problem(n *yaml.Node, path, format string, values ...any) {
	where := strconv.Itoa(n.Line) + ": "
	if path != "" {
		where += path + ": "
	}
	r.problems = append(r.problems, errors.New(where+fmt.Sprintf(format, values...)))
}

// Problems returns the number of problems so far.
func (r *Reader) Problems() int { return len(r.problems) }

// below returns the path of a key.
func below(path, key string) string {
	if !keyForm.MatchString(key) {
		key = strconv.QuoteToASCII(key[:min(len(key), 40)])
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

var keyForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Mapping reads a mapping with known keys. path is the mapping's own place, and each function gets that of its value.
func (r *Reader) Mapping(n *yaml.Node, path string, keys map[string]func(*yaml.Node, string)) {
	r.Entries(n, path, func(key, value *yaml.Node, at string) {
		if read, known := keys[key.Value]; known {
			read(value, at)
			return
		}
		r.Problem(key, at, "unknown key. Known are %s", strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	})
}

// Entries calls each for every entry of a mapping.
func (r *Reader) Entries(n *yaml.Node, path string, each func(key, value *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		r.Problem(n, path, "must be a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := below(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			r.Problem(key, path, "a key must be a text or a number")
		case seen[key.Value]:
			r.Problem(key, at, "occurs twice")
		default:
			seen[key.Value] = true
			each(key, value, at)
		}
	}
}

// Text reads a text. An unquoted number is not one: 013 and 1e3 would not be what they look like.
func (r *Reader) Text(n *yaml.Node, path string) (text string, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		r.Problem(n, path, "must be a text. Quote it")
		return "", false
	}
	return n.Value, true
}

// Boolean reads true or false into to, which a problem leaves as it is.
func (r *Reader) Boolean(n *yaml.Node, path string, to *bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
		r.Problem(n, path, "must be true or false")
		return
	}
	*to = n.Value == "true"
}

// Choice reads one of some texts, and returns which.
func (r *Reader) Choice(n *yaml.Node, path string, of ...string) (i int, ok bool) {
	if i = slices.Index(of, n.Value); n.Kind != yaml.ScalarNode || n.Tag != "!!str" || i < 0 {
		r.Problem(n, path, "must be %s", strings.Join(of[:len(of)-1], ", ")+" or "+of[len(of)-1])
		return 0, false
	}
	return i, true
}

// Either reads one of two texts; to is set for the second.
func (r *Reader) Either(first, second string, to *bool) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if i, ok := r.Choice(n, path, first, second); ok {
			*to = i == 1
		}
	}
}
