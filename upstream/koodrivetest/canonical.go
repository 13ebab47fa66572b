package koodrivetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// canonicalRequest returns the text whose hash is signed, or the reason why it does not exist.
func (s Signature) canonicalRequest(r *http.Request, names []string, body []byte) (text, why string) {
	headers, why := s.canonicalHeaders(r, names)
	if why != "" {
		return "", why
	}
	uri, err := s.canonicalURI(r.URL.EscapedPath())
	if err != nil {
		return "", "undecodable path"
	}
	query, err := canonicalQuery(r.URL.RawQuery)
	if err != nil {
		return "", "undecodable query"
	}
	payload := hexSHA256(body)
	if s.EmptyPayload && len(body) == 0 {
		payload = ""
	}
	return strings.Join([]string{r.Method, uri, query, headers, strings.Join(names, ";"), payload}, "\n"), ""
}

// canonicalURI cleans a path, encodes its segments and ends it with a slash. The path that is sent need not end with
// one.
func (s Signature) canonicalURI(escaped string) (string, error) {
	segments := strings.Split(path.Clean("/"+escaped), "/")
	for i, segment := range segments {
		raw, err := url.PathUnescape(segment)
		if err != nil {
			return "", err
		}
		segments[i] = encodeURI(raw)
	}
	uri := strings.Join(segments, "/")
	if !strings.HasSuffix(uri, "/") && !s.PathAsItIs {
		uri += "/"
	}
	return uri, nil
}

// canonicalQuery sorts a query by its names. A name without a value keeps an equals sign.
func canonicalQuery(query string) (string, error) {
	if query == "" {
		return "", nil
	}
	type param struct{ name, value string }
	var params []param
	for pair := range strings.SplitSeq(query, "&") {
		n, v, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(n)
		if err != nil {
			return "", err
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return "", err
		}
		params = append(params, param{name, value})
	}
	slices.SortStableFunc(params, func(a, b param) int { return cmp.Compare(a.name, b.name) })
	var pairs []string
	for _, p := range params {
		pairs = append(pairs, encodeURI(p.name)+"="+encodeURI(p.value))
	}
	return strings.Join(pairs, "&"), nil
}

// canonicalHeaders writes each signed header on its own line. The names must be in lower case, in ascending order, and
// include X-Date and X-User-Id. Each header must be sent exactly once and must not be empty.
func (s Signature) canonicalHeaders(r *http.Request, names []string) (lines, why string) {
	if !slices.Contains(names, "x-date") || !slices.Contains(names, "x-user-id") {
		return "", "X-Date or X-User-Id not signed"
	}
	if s.WithoutHost && slices.Contains(names, "host") {
		return "", "Host signed"
	}
	var b strings.Builder
	for i, name := range names {
		if name != strings.ToLower(name) || i > 0 && name <= names[i-1] {
			return "", "SignedHeaders not in lower case and ascending order"
		}
		values := r.Header.Values(name)
		if name == "host" { // net/http removes it from the header
			values = []string{s.host(r)}
		}
		if len(values) != 1 || strings.TrimSpace(values[0]) == "" {
			return "", "signed header " + name + " not sent exactly once"
		}
		b.WriteString(name + ":" + strings.TrimSpace(values[0]) + "\n")
	}
	return b.String(), ""
}

// host returns the signed Host.
func (s Signature) host(r *http.Request) string {
	if !s.HostWithPort || strings.LastIndexByte(r.Host, ':') > strings.LastIndexByte(r.Host, ']') {
		return r.Host
	}
	if r.TLS != nil {
		return r.Host + ":443"
	}
	return r.Host + ":80"
}

// encodeURI percent-encodes everything but letters, digits and "-_.~".
func encodeURI(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
