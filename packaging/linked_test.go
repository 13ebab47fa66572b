package main

import (
	"compress/gzip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// files writes files, by their paths below a new folder, and returns the folder.
func files(t *testing.T, contents map[string]string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for name, content := range contents {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// program returns the files of a program that uses a package of another module.
func program(more map[string]string) map[string]string {
	contents := map[string]string{
		"go.mod":             "module example.test/program\ngo 1.26\nrequire example.test/part v0.0.0\nreplace example.test/part => ./part\n",
		"main.go":            "package main\nimport _ \"example.test/part/inner\"\nfunc main() {}\n",
		"part/go.mod":        "module example.test/part\ngo 1.26\n",
		"part/inner/part.go": "package inner\n",
	}
	for name, content := range more {
		contents[name] = content
	}
	return contents
}

var here = target{os: runtime.GOOS, arch: runtime.GOARCH}

// The licences of a module and of the package in use are found, and those of its other packages are not.
func TestLicences(t *testing.T) {
	folder := files(t, program(map[string]string{
		"part/COPYING": "terms", "part/NOTICE.txt": "notice", "part/license.go": "package part\n",
		"part/inner/LICENSE-MIT": "inner terms", "part/unused/LICENSE": "other terms",
	}))
	parts, err := modules(here, folder, ".")
	if err != nil {
		t.Fatal(err)
	}
	if len(parts) != 2 || parts[0].name != "Go's standard library" || len(parts[0].texts) == 0 || parts[1].name != "example.test/part" {
		t.Fatalf("%+v", parts)
	}
	var found []string
	for _, path := range parts[1].texts {
		name, err := filepath.Rel(filepath.Join(folder, "part"), path)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, name)
	}
	if got, want := strings.Join(found, " "), "COPYING NOTICE.txt inner/LICENSE-MIT"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A module without a licence is an error, and a notice does not replace one.
func TestNoLicence(t *testing.T) {
	for name, more := range map[string]map[string]string{
		"nothing":                      nil,
		"a notice":                     {"part/NOTICE": "notice"},
		"a licence of another package": {"part/unused/LICENSE": "other terms"},
	} {
		t.Run(name, func(t *testing.T) {
			parts, err := modules(here, files(t, program(more)), ".")
			if err == nil || !strings.Contains(err.Error(), "example.test/part v0.0.0 has no licence file") {
				t.Errorf("%+v, %v", parts, err)
			}
		})
	}
}

// Another version of Swagger UI needs its own texts.
func TestSwaggerUIWithoutTexts(t *testing.T) {
	page, err := swaggerUI(files(t, map[string]string{"v5/static/swagger-ui-bundle.js.gz": packed(t, `PACKAGE_VERSION:"9.9.9"`)}))
	if err == nil || !strings.Contains(err.Error(), "swagger-ui-dist 9.9.9") {
		t.Errorf("%+v, %v", page, err)
	}
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
