package dialect

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxPrefix is the length of the longest prefix of a token, in bytes.
const maxPrefix = 32

// prefixForm matches what may stand before a token: nothing, or visible ASCII, with spaces behind its first character.
var prefixForm = regexp.MustCompile(`^([!-~][ -~]*)?$`)

func (r *reader) token(n *yaml.Node, path string) {
	to := &r.into.Token
	r.Mapping(n, path, map[string]func(*yaml.Node, string){
		"prefix": func(n *yaml.Node, path string) {
			prefix, ok := r.Text(n, path)
			if ok && (len(prefix) > maxPrefix || !prefixForm.MatchString(prefix)) {
				r.Problem(n, path, "must be empty, or at most %d characters of ASCII that begin with no space", maxPrefix)
				return
			}
			to.Prefix = prefix
		},
		"date":    func(n *yaml.Node, path string) { r.Boolean(n, path, &to.Date) },
		"user_id": r.Either("optional", "required", &to.UserIDRequired),
	})
}

func (r *reader) signature(n *yaml.Node, path string) {
	to := &r.into.Signature
	slash := !to.PathAsItIs
	r.Mapping(n, path, map[string]func(*yaml.Node, string){
		"signed_headers": r.Either("host;x-date;x-user-id", "x-date;x-user-id", &to.WithoutHost),
		"host":           r.Either("as_sent", "with_port", &to.HostWithPort),
		"time_line":      func(n *yaml.Node, path string) { r.Boolean(n, path, &to.TimeLine) },
		"empty_payload":  r.Either("sha256", "empty", &to.EmptyPayload),
		"path_slash":     func(n *yaml.Node, path string) { r.Boolean(n, path, &slash) },
	})
	to.PathAsItIs = !slash
	if to.WithoutHost && to.HostWithPort {
		r.Problem(n, path, "contradiction: the host is not signed, so it has no port")
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
	r.Entries(n, path, func(key, value *yaml.Node, at string) {
		name := http.CanonicalHeaderKey(key.Value)
		text, ok := r.Text(value, at)
		switch {
		case !ok:
		case !headerName.MatchString(name):
			r.Problem(key, at, "is not the name of a header")
		case credentialNames.MatchString(name):
			r.Problem(key, at, "headers with credentials are not allowed")
		case slices.Contains(taken, name):
			r.Problem(key, at, "kootask or HTTP sets this header")
		case slices.ContainsFunc(headers, func(h Header) bool { return h.Name == name }):
			r.Problem(key, at, "occurs twice")
		case !headerValue.MatchString(text):
			r.Problem(value, at, "must be visible ASCII")
		case len(name)+len(text) > maxHeaderBytes:
			r.Problem(value, at, "has more than %d bytes", maxHeaderBytes)
		default:
			headers = append(headers, Header{name, text})
		}
	})
	if len(headers) > maxHeaders {
		r.Problem(n, path, "has %d headers. At most %d are allowed", len(headers), maxHeaders)
	}
	r.into.Headers = headers
}

// codeForm matches the error codes that kootask reads: see upstream.StatusError.
var codeForm = regexp.MustCompile(`^([A-Z.0-9]{1,32}|-[0-9]{1,31})$`)

func (r *reader) codes(n *yaml.Node, path string) {
	if n.Kind != yaml.SequenceNode {
		r.Problem(n, path, "must be a list")
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
			r.Problem(item, at, "an earlier row has the same status and code")
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
	before := r.Problems()
	row.Overlaid = r.overlaid
	r.Mapping(n, path, map[string]func(*yaml.Node, string){
		"status": func(n *yaml.Node, path string) {
			var err error
			row.Status, err = strconv.Atoi(n.Value)
			if err != nil || strconv.Itoa(row.Status) != n.Value || n.Tag != "!!int" || row.Status < 200 || row.Status > 599 {
				r.Problem(n, path, "must be an HTTP status from 200 to 599")
			}
		},
		"code": func(n *yaml.Node, path string) {
			code, isText := r.Text(n, path)
			switch {
			case isText && PlainCode(code) == "0":
				r.Problem(n, path, "code 0 is KooDrive's success")
			case isText && (!codeForm.MatchString(code) || PlainCode(code) == ""):
				r.Problem(n, path, "must be a number, or at most 32 characters of A-Z, 0-9 and dots")
			}
			row.Code = PlainCode(code)
		},
		"reason": func(n *yaml.Node, path string) {
			if _, ok := r.Choice(n, path, r.reasons...); ok {
				row.Reason = n.Value
			}
		},
	})
	switch {
	case r.Problems() > before:
		return row, false
	case row.Reason == "":
		r.Problem(n, path, "the reason is missing")
	case row.Status == 0 && row.Code == "":
		r.Problem(n, path, "a status or a code is missing")
	case row.Status == http.StatusOK && row.Code == "":
		r.Problem(n, path, "status 200 without a code is KooDrive's success")
	}
	return row, r.Problems() == before
}

// numbers reads a mapping from undocumented numbers to names. KooDrive documents 0 to last.
func (r *reader) numbers(n *yaml.Node, path string, to map[int32]string, last int64, names []string) {
	r.Entries(n, path, func(key, value *yaml.Node, at string) {
		number, err := strconv.ParseInt(key.Value, 10, 32)
		switch {
		case err != nil || key.Tag != "!!int" || strconv.FormatInt(number, 10) != key.Value:
			r.Problem(key, at, "must be a 32-bit integer")
		case number >= 0 && number <= last:
			r.Problem(key, at, "KooDrive documents 0 to %d, which cannot be changed", last)
		default:
			if i, ok := r.Choice(value, at, names...); ok {
				to[int32(number)] = names[i]
			}
		}
	})
}

// maxText is the length of the longest text of a result code, in characters.
const maxText = 200

var resultCodeForm = regexp.MustCompile(`^[!-~]{1,32}$`)

func (r *reader) resultCodes(n *yaml.Node, path string) {
	r.Entries(n, path, func(key, value *yaml.Node, at string) {
		if key.Tag != "!!str" || !resultCodeForm.MatchString(key.Value) {
			r.Problem(key, at, "must be a quoted result code of at most 32 visible ASCII characters")
			return
		}
		text, before := Text{}, r.Problems()
		read := func(to *string) func(*yaml.Node, string) {
			return func(n *yaml.Node, path string) {
				s, ok := r.Text(n, path)
				if ok && (utf8.RuneCountInString(s) > maxText || strings.ContainsFunc(s, unicode.IsControl)) {
					r.Problem(n, path, "must be one line of at most %d characters", maxText)
				}
				*to = s
			}
		}
		r.Mapping(value, at, map[string]func(*yaml.Node, string){"en-US": read(&text.English), "zh-CN": read(&text.Chinese)})
		if r.Problems() == before && (text.English == "" || text.Chinese == "") {
			r.Problem(value, at, "must have a text in en-US and in zh-CN")
		}
		r.into.ResultCodes[key.Value] = text
	})
}
