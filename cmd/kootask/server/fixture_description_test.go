package server_test

import (
	"encoding/json"
	"hash/maphash"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/gateway"
	"github.com/kootask/kootask/service/reason"
)

// Every test of this package that uses HTTP also tests the description: each answer must match it, with its status, its
// headers and its body, and each line or event of a stream too.

// description is the OpenAPI document of the HTTP port.
type description struct {
	document map[string]any
	compiler *jsonschema.Compiler
	forms    map[string]*regexp.Regexp // Of the described paths.
	mu       sync.Mutex
	schemas  map[string]*jsonschema.Schema // Guarded by mu, by their places.
	allowed  map[uint64]bool               // Guarded by mu: hashes of texts that have been validated at a place.
	seed     maphash.Seed
}

var openAPI = sync.OnceValue(func() *description {
	anybody, err := auth.New(auth.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	handler, err := gateway.New(gateway.Config{Auth: anybody, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		panic(err)
	}
	served := httptest.NewRecorder()
	handler.ServeHTTP(served, httptest.NewRequest(http.MethodGet, "/openapi.json", http.NoBody))
	d := &description{
		compiler: jsonschema.NewCompiler(), forms: map[string]*regexp.Regexp{},
		schemas: map[string]*jsonschema.Schema{}, allowed: map[uint64]bool{}, seed: maphash.MakeSeed(),
	}
	if err := json.Unmarshal(served.Body.Bytes(), &d.document); err != nil {
		panic(err)
	}
	paths, _ := d.at("/paths")
	for path := range paths {
		d.forms[path] = regexp.MustCompile("^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]*") + "$")
	}
	d.compiler.AssertFormat()
	d.compiler.AssertContent()
	if err := d.compiler.AddResource("openapi", d.document); err != nil {
		panic(err)
	}
	return d
})

// pointer is a place in the document.
type pointer string

func (p pointer) to(names ...string) pointer {
	for _, name := range names {
		p += pointer("/" + escape.Replace(name))
	}
	return p
}

// at returns the value at a place, following a reference, and the place where the value is. Nil: none.
func (d *description) at(p pointer) (map[string]any, pointer) {
	value := any(d.document)
	for name := range strings.SplitSeq(strings.TrimPrefix(string(p), "/"), "/") {
		object, _ := value.(map[string]any)
		value = object[unescape.Replace(name)]
	}
	object, _ := value.(map[string]any)
	if ref, ok := object["$ref"].(string); ok {
		return d.at(pointer(strings.TrimPrefix(ref, "#")))
	}
	return object, p
}

// validate checks a value by the schema at a place.
func (d *description) validate(p pointer, value any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.schemas[string(p)] == nil {
		// A place in a URL is escaped.
		d.schemas[string(p)] = d.compiler.MustCompile("openapi#" + strings.NewReplacer("{", "%7B", "}", "%7D").Replace(string(p)))
	}
	return d.schemas[string(p)].Validate(value)
}

// once calls check for text at a place unless it has been validated there: a thousand watchers get the same.
func (d *description) once(check func() error, where ...string) error {
	key := maphash.Comparable(d.seed, strings.Join(where, "\n"))
	d.mu.Lock()
	known := d.allowed[key]
	d.mu.Unlock()
	if known {
		return nil
	}
	err := check()
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.allowed[key] = true
	}
	return err
}

// responses is the place that describes the answers to a request. Those for missing routes are among the others.
func (d *description) responses(r *http.Request) pointer {
	best := ""
	for path, form := range d.forms {
		if form.MatchString(r.URL.EscapedPath()) && len(path) > len(best) {
			best = path
		}
	}
	method := strings.ToLower(r.Method)
	if method == "head" {
		method = "get"
	}
	p := pointer("/paths").to(best, method, "responses")
	if found, _ := d.at(p); found == nil {
		return pointer("/paths").to("/v1/tasks/{task_id}", "get", "responses")
	}
	return p
}

// unsaid are headers of HTTP itself, which are not described.
var unsaid = regexp.MustCompile(`^(Date|Connection|Content-Length|Content-Type|Access-Control-.*)$`)

// allows fails the test if the description does not allow an answer.
func (d *description) allows(t *testing.T, resp *http.Response, body string) {
	t.Helper()
	what := resp.Request.Method + " " + resp.Request.URL.EscapedPath() + ": HTTP " + resp.Status
	if resp.Request.Method == http.MethodOptions && resp.StatusCode == http.StatusNoContent {
		return // A preflight.
	}
	answer, p := d.at(d.responses(resp.Request).to(strconv.Itoa(resp.StatusCode)))
	if answer == nil {
		t.Errorf("%s is not described", what)
		return
	}
	headers, _ := answer["headers"].(map[string]any)
	said := map[string]bool{}
	for name := range headers {
		header, at := d.at(p.to("headers", name))
		said[http.CanonicalHeaderKey(name)] = true
		values := resp.Header.Values(name)
		if header["required"] == true && len(values) == 0 {
			t.Errorf("%s has no %s", what, name)
		}
		if len(values) > 0 {
			value := strings.Join(values, ", ")
			if err := d.once(func() error { return d.validate(at.to("schema"), value) }, string(at), value); err != nil {
				t.Errorf("%s: %s %q: %v", what, name, values, err)
			}
		}
	}
	for name := range resp.Header {
		if !said[name] && !unsaid.MatchString(name) {
			t.Errorf("%s has %s, which is not described", what, name)
		}
	}
	if language := strings.Join(resp.Request.Header.Values("Language"), ","); resp.StatusCode >= http.StatusBadRequest && (language == "" || reason.Catalogue()[language] != nil) &&
		strings.Contains(body, `"locale":`) != (language != "") && !strings.Contains(resp.Request.URL.RawQuery, "ticket=") {
		t.Errorf("%s in %q says %q", what, language, body)
	}
	if resp.Request.Method != http.MethodHead && resp.Header.Get("Content-Encoding") == "" {
		d.allowsBody(t, what, resp.Request.URL.Path, p, resp.Header.Get("Content-Type"), body)
	}
}

func (d *description) allowsBody(t *testing.T, what, path string, p pointer, contentType, body string) {
	t.Helper()
	var value any
	switch contentType {
	case "":
		if content, _ := d.at(p.to("content")); content != nil || body != "" {
			t.Errorf("%s has no Content-Type: %q", what, body)
		}
		return
	case ndjson + charset, sse + charset:
		surface := strings.TrimSuffix(contentType, charset)
		parse(t, surface, strings.NewReader(body), func(e event) { d.allowsEvent(t, surface, path, e) })
		return
	case "application/json":
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			t.Errorf("%s: %v in %q", what, err, body)
			return
		}
	default:
		value = body
	}
	schema, at := d.at(p.to("content", contentType))
	if schema == nil {
		t.Errorf("%s has Content-Type %q, which is not described", what, contentType)
	} else if err := d.validate(at.to("schema"), value); err != nil {
		t.Errorf("%s: %v in %q", what, err, body)
	}
}

// allowsEvent fails the test if a stream may not have an event.
func (d *description) allowsEvent(t *testing.T, surface, path string, e event) {
	t.Helper()
	of := "/v1/tasks/{task_id}:watch"
	if strings.HasPrefix(path, "/v1/tasks:") {
		of = "/v1/tasks:watch"
	}
	err := d.once(func() error { return d.checkEvent(surface, of, e) }, surface, of, e.name, e.id, e.wait, e.data)
	if err != nil {
		t.Errorf("%s: %+v is not described: %v", surface, e, err)
	}
}

func (d *description) checkEvent(surface, of string, e event) error {
	value := map[string]any{"event": e.name, "data": e.data}
	if e.id != "" {
		value["id"] = e.id
	}
	if e.wait != "" {
		value["retry"] = json.Number(e.wait)
	}
	if surface == ndjson {
		var data any
		if err := json.Unmarshal([]byte(e.data), &data); err != nil {
			return err
		}
		value = map[string]any{e.name: data}
	}
	_, item := d.at(pointer("/paths").to(of, "get", "responses", "200", "content", surface+charset, "schema"))
	return d.validate(item, value)
}
