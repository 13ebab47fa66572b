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

// The licence is that of the embedded version of Swagger UI, or there is none.
func TestSwaggerUI(t *testing.T) {
	module := files(t, map[string]string{"v5/static/swagger-ui-bundle.js.gz": packed(t, `PACKAGE_VERSION:"9.9.9"`)})
	for name, row := range map[string]struct {
		npmPackage map[string]string
		want       string // Part of the error.
	}{
		"the same version":  {map[string]string{"package.json": `{"version": "9.9.9"}`, "LICENSE": "terms"}, ""},
		"another version":   {map[string]string{"package.json": `{"version": "9.9.8"}`, "LICENSE": "terms"}, "the licence is that of 9.9.8"},
		"without a licence": {map[string]string{"package.json": `{"version": "9.9.9"}`}, "no licence"},
		"not fetched":       {map[string]string{}, "package.json"},
	} {
		t.Run(name, func(t *testing.T) {
			page, err := swaggerUI(module, files(t, row.npmPackage))
			if row.want == "" && (err != nil || page.version != "9.9.9" || len(page.texts) != 1) ||
				row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
				t.Errorf("%+v, %v, want %q", page, err, row.want)
			}
		})
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
