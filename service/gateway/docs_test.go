package gateway

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
)

// Whatever the page loads is there, with its type and under its policy, and is found from /docs wherever that is. It loads
// nothing from elsewhere and has no script of its own.
func TestDocsAreWhole(t *testing.T) {
	mux := runtime.NewServeMux()
	if err := registerDocs(mux); err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	page := get("/docs")
	if page.Code != http.StatusOK || page.Header().Get("Content-Security-Policy") != docsPolicy {
		t.Errorf("the page: %d, %v", page.Code, page.Header())
	}
	loaded := regexp.MustCompile(`(?:src|href)="(docs/[^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1)
	for _, m := range loaded {
		w := get("/" + m[1])
		if w.Code != http.StatusOK || w.Body.Len() == 0 || w.Header().Get("Content-Type") != mediaTypes[path.Ext(m[1])] || w.Header().Get("Content-Security-Policy") != docsPolicy {
			t.Errorf("%s: %d, %v", m[1], w.Code, w.Header())
		}
	}
	if len(loaded) != 4 {
		t.Errorf("it loads %q", loaded)
	}
	names, err := fs.Glob(docs, "docs/*")
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		content, err := fs.ReadFile(docs, name)
		if err != nil {
			t.Fatal(err)
		}
		for what, form := range map[string]string{
			"an address of elsewhere": `//[a-z]|(src|href|url)[=:] ?["'](/|\w+:)`, "a script in the page": `<script>|<script [^>]*[^/]>[^<]|javascript:| on\w+=`,
			"a style in the page": `<style|style=`,
		} {
			if found := regexp.MustCompile(form).FindString(string(content)); found != "" {
				t.Errorf("%s has %s: %s", name, what, found)
			}
		}
	}
	setting, err := fs.ReadFile(docs, "docs/init.js")
	for _, want := range []string{"url: 'openapi.json',", "validatorUrl: null,", "persistAuthorization: false,", "queryConfigEnabled: false,"} {
		if err != nil || !strings.Contains(string(setting), want) {
			t.Errorf("%s is not in %s", want, fmt.Sprint(string(setting), err))
		}
	}
}
