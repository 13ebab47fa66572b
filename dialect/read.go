package dialect

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// reader reads a document into a Dialect, and collects the problems.
type reader struct {
	reasons  []string
	into     *Dialect
	overlaid bool
	problems []error
}

// read reads a document of one mapping.
func (r *reader) read(text []byte) error {
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
	r.mapping(document.Content[0], "", map[string]func(*yaml.Node, string){
		"token": r.token, "headers": r.headers, "signature": r.signature, "codes": r.codes,
		"statuses":     func(n *yaml.Node, path string) { r.numbers(n, path, r.into.Statuses, 3, statuses) },
		"task_types":   func(n *yaml.Node, path string) { r.numbers(n, path, r.into.TaskTypes, 1, taskTypes) },
		"result_codes": r.resultCodes,
	})
	return errors.Join(r.problems...)
}

// The documented values, whose numbers are their places.
var (
	statuses  = []string{"NEW", "EXECUTING", "SUCCESS", "FAILED"}
	taskTypes = []string{"TRANSFER_AND_DELETION", "BATCH_IMPORT"}
)

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

// problem notes a problem at a node.
func (r *reader) problem(n *yaml.Node, path, format string, values ...any) {
	where := strconv.Itoa(n.Line) + ": "
	if path != "" {
		where += path + ": "
	}
	r.problems = append(r.problems, errors.New(where+fmt.Sprintf(format, values...)))
}

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

// mapping reads a mapping with known keys.
func (r *reader) mapping(n *yaml.Node, path string, keys map[string]func(*yaml.Node, string)) {
	r.entries(n, path, func(key, value *yaml.Node, at string) {
		if read, known := keys[key.Value]; known {
			read(value, at)
			return
		}
		r.problem(key, at, "unknown key. Known are %s", strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	})
}

// entries calls each for every entry of a mapping.
func (r *reader) entries(n *yaml.Node, path string, each func(key, value *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		r.problem(n, path, "must be a mapping")
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := below(path, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.Tag == "!!merge":
			r.problem(key, path, "a key must be a text or a number")
		case seen[key.Value]:
			r.problem(key, at, "occurs twice")
		default:
			seen[key.Value] = true
			each(key, value, at)
		}
	}
}

// text reads a text. An unquoted number is not one: 013 and 1e3 would not be what they look like.
func (r *reader) text(n *yaml.Node, path string) (text string, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		r.problem(n, path, "must be a text. Quote it")
		return "", false
	}
	return n.Value, true
}

// boolean reads true or false.
func (r *reader) boolean(n *yaml.Node, path string, to *bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" || n.Value != "true" && n.Value != "false" {
		r.problem(n, path, "must be true or false")
		return
	}
	*to = n.Value == "true"
}

// choice reads one of some texts, and returns which.
func (r *reader) choice(n *yaml.Node, path string, of ...string) (i int, ok bool) {
	if i = slices.Index(of, n.Value); n.Kind != yaml.ScalarNode || n.Tag != "!!str" || i < 0 {
		r.problem(n, path, "must be %s", strings.Join(of[:len(of)-1], ", ")+" or "+of[len(of)-1])
		return 0, false
	}
	return i, true
}

// either reads one of two texts; to is set for the second.
func (r *reader) either(first, second string, to *bool) func(*yaml.Node, string) {
	return func(n *yaml.Node, path string) {
		if i, ok := r.choice(n, path, first, second); ok {
			*to = i == 1
		}
	}
}

// maxPrefix is the length of the longest prefix of a token, in bytes.
const maxPrefix = 32

// prefixForm matches what may stand before a token: nothing, or visible ASCII, with spaces behind its first character.
var prefixForm = regexp.MustCompile(`^([!-~][ -~]*)?$`)

func (r *reader) token(n *yaml.Node, path string) {
	to := &r.into.Token
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"prefix": func(n *yaml.Node, path string) {
			prefix, ok := r.text(n, path)
			if ok && (len(prefix) > maxPrefix || !prefixForm.MatchString(prefix)) {
				r.problem(n, path, "must be empty, or at most %d characters of ASCII that begin with no space", maxPrefix)
				return
			}
			to.Prefix = prefix
		},
		"date":    func(n *yaml.Node, path string) { r.boolean(n, path, &to.Date) },
		"user_id": r.either("optional", "required", &to.UserIDRequired),
	})
}

func (r *reader) signature(n *yaml.Node, path string) {
	to := &r.into.Signature
	slash := !to.PathAsItIs
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"signed_headers": r.either("host;x-date;x-user-id", "x-date;x-user-id", &to.WithoutHost),
		"host":           r.either("as_sent", "with_port", &to.HostWithPort),
		"time_line":      func(n *yaml.Node, path string) { r.boolean(n, path, &to.TimeLine) },
		"empty_payload":  r.either("sha256", "empty", &to.EmptyPayload),
		"path_slash":     func(n *yaml.Node, path string) { r.boolean(n, path, &slash) },
	})
	to.PathAsItIs = !slash
	if to.WithoutHost && to.HostWithPort {
		r.problem(n, path, "contradiction: the host is not signed, so it has no port")
	}
}

const (
	maxHeaders     = 8
	maxHeaderBytes = 256 // Of a name and its value together.
)

var (
	headerName  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	headerValue = regexp.MustCompile(`^[!-~]+$`)
	// credentialNames matches names of headers that carry credentials.
	credentialNames = regexp.MustCompile(`(?i)auth|cookie|token|secret|passw|credential|session|signature|jwt|app-?code|` +
		`(api|app|access|private)-?key|^x-sdk-`)
	// taken are the headers that kootask sets, and those that are between two hops.
	taken = []string{
		"Accept", "Accept-Encoding", "Language", "User-Agent", "X-Date", "X-Traceid", "X-User-Id",
		"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Http2-Settings", "Keep-Alive",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	}
)

func (r *reader) headers(n *yaml.Node, path string) {
	var headers []Header
	r.entries(n, path, func(key, value *yaml.Node, at string) {
		name := http.CanonicalHeaderKey(key.Value)
		text, ok := r.text(value, at)
		switch {
		case !ok:
		case !headerName.MatchString(name):
			r.problem(key, at, "is not the name of a header")
		case credentialNames.MatchString(name):
			r.problem(key, at, "headers with credentials are not allowed")
		case slices.Contains(taken, name):
			r.problem(key, at, "kootask or HTTP sets this header")
		case slices.ContainsFunc(headers, func(h Header) bool { return h.Name == name }):
			r.problem(key, at, "occurs twice")
		case !headerValue.MatchString(text):
			r.problem(value, at, "must be visible ASCII")
		case len(name)+len(text) > maxHeaderBytes:
			r.problem(value, at, "has more than %d bytes", maxHeaderBytes)
		default:
			headers = append(headers, Header{name, text})
		}
	})
	if len(headers) > maxHeaders {
		r.problem(n, path, "has %d headers. At most %d are allowed", len(headers), maxHeaders)
	}
	r.into.Headers = headers
}

// codeForm matches the error codes that kootask reads: see upstream.StatusError.
var codeForm = regexp.MustCompile(`^([A-Z.0-9]{1,32}|-[0-9]{1,31})$`)

func (r *reader) codes(n *yaml.Node, path string) {
	if n.Kind != yaml.SequenceNode {
		r.problem(n, path, "must be a list")
		return
	}
	var rows []Code
	for i, item := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		row, ok := r.code(item, at)
		if !ok {
			continue
		}
		same := func(c Code) bool { return c.Status == row.Status && c.Code == row.Code }
		if slices.ContainsFunc(rows, same) {
			r.problem(item, at, "an earlier row has the same status and code")
			continue
		}
		rows = append(rows, row)
		if j := slices.IndexFunc(r.into.Codes, same); j >= 0 {
			r.into.Codes[j] = row
		} else {
			r.into.Codes = append(r.into.Codes, row)
		}
	}
}

// code reads a row of codes.
func (r *reader) code(n *yaml.Node, path string) (row Code, ok bool) {
	before := len(r.problems)
	row.Overlaid = r.overlaid
	r.mapping(n, path, map[string]func(*yaml.Node, string){
		"status": func(n *yaml.Node, path string) {
			var err error
			row.Status, err = strconv.Atoi(n.Value)
			if err != nil || strconv.Itoa(row.Status) != n.Value || n.Tag != "!!int" || row.Status < 200 || row.Status > 599 {
				r.problem(n, path, "must be an HTTP status from 200 to 599")
			}
		},
		"code": func(n *yaml.Node, path string) {
			code, isText := r.text(n, path)
			switch {
			case isText && PlainCode(code) == "0":
				r.problem(n, path, "code 0 is KooDrive's success")
			case isText && (!codeForm.MatchString(code) || PlainCode(code) == ""):
				r.problem(n, path, "must be a number, or at most 32 characters of A-Z, 0-9 and dots")
			}
			row.Code = PlainCode(code)
		},
		"reason": func(n *yaml.Node, path string) {
			if _, ok := r.choice(n, path, r.reasons...); ok {
				row.Reason = n.Value
			}
		},
	})
	switch {
	case len(r.problems) > before:
		return row, false
	case row.Reason == "":
		r.problem(n, path, "the reason is missing")
	case row.Status == 0 && row.Code == "":
		r.problem(n, path, "a status or a code is missing")
	case row.Status == http.StatusOK && row.Code == "":
		r.problem(n, path, "status 200 without a code is KooDrive's success")
	}
	return row, len(r.problems) == before
}

// numbers reads a mapping from undocumented numbers to names. KooDrive documents 0 to last.
func (r *reader) numbers(n *yaml.Node, path string, to map[int32]string, last int64, names []string) {
	r.entries(n, path, func(key, value *yaml.Node, at string) {
		number, err := strconv.ParseInt(key.Value, 10, 32)
		switch {
		case err != nil || key.Tag != "!!int" || strconv.FormatInt(number, 10) != key.Value:
			r.problem(key, at, "must be a 32-bit integer")
		case number >= 0 && number <= last:
			r.problem(key, at, "KooDrive documents 0 to %d, which cannot be changed", last)
		default:
			if i, ok := r.choice(value, at, names...); ok {
				to[int32(number)] = names[i]
			}
		}
	})
}

// maxText is the length of the longest text of a result code, in characters.
const maxText = 200

var resultCodeForm = regexp.MustCompile(`^[!-~]{1,32}$`)

func (r *reader) resultCodes(n *yaml.Node, path string) {
	r.entries(n, path, func(key, value *yaml.Node, at string) {
		if key.Tag != "!!str" || !resultCodeForm.MatchString(key.Value) {
			r.problem(key, at, "must be a quoted result code of at most 32 visible ASCII characters")
			return
		}
		text, before := Text{}, len(r.problems)
		read := func(to *string) func(*yaml.Node, string) {
			return func(n *yaml.Node, path string) {
				s, ok := r.text(n, path)
				if ok && (utf8.RuneCountInString(s) > maxText || strings.ContainsFunc(s, unicode.IsControl)) {
					r.problem(n, path, "must be one line of at most %d characters", maxText)
				}
				*to = s
			}
		}
		r.mapping(value, at, map[string]func(*yaml.Node, string){"en-US": read(&text.English), "zh-CN": read(&text.Chinese)})
		if len(r.problems) == before && (text.English == "" || text.Chinese == "") {
			r.problem(value, at, "must have a text in en-US and in zh-CN")
		}
		r.into.ResultCodes[key.Value] = text
	})
}
