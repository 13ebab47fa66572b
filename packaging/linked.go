package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// part is a work of others that a package contains: a module, the standard library or Swagger UI.
type part struct {
	name, version string
	url           string   // The package URL.
	texts         []string // The files with the licence, and notices that it requires. At least one is a licence.
}

// listed is a package in the output of go list.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// linked returns the parts that are linked into a platform's program.
func linked(t target) ([]part, error) {
	parts, err := modules(t, ".", "./cmd/kootask")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(parts, func(p part) bool { return p.name == "github.com/swaggest/swgui" })
	if i < 0 {
		return nil, errors.New("github.com/swaggest/swgui, with Swagger UI, is not linked: change linked.go to find Swagger UI")
	}
	page, err := swaggerUI(filepath.Dir(parts[i].texts[0]), swaggerUIPackage)
	return append(parts, page), err
}

// modules returns the modules that the package at path uses on a platform, and the standard library. The go command runs in dir.
func modules(t target, dir, path string) ([]part, error) {
	out, err := goCommand(t, dir, "list", "-deps", "-json=Dir,Standard,Module", path)
	if err != nil {
		return nil, err
	}
	library, err := standardLibrary(t, dir)
	if err != nil {
		return nil, err
	}
	found := map[string]part{"": library}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if p.Standard || p.Module.Main {
			continue
		}
		m, known := found[p.Module.Path]
		if !known {
			m = part{name: p.Module.Path, version: p.Module.Version, url: packageURL("golang", p.Module.Path, p.Module.Version)}
		}
		// A package can have a licence of its own, in its folder or above.
		for folder := p.Dir; strings.HasPrefix(folder, p.Module.Dir); folder = filepath.Dir(folder) {
			texts, err := legalTexts(folder)
			if err != nil {
				return nil, err
			}
			m.texts = append(m.texts, texts...)
		}
		found[m.name] = m
	}
	var parts []part
	for _, p := range found {
		slices.SortFunc(p.texts, byDepth)
		p.texts = slices.Compact(p.texts)
		if !slices.ContainsFunc(p.texts, isLicence) {
			return nil, fmt.Errorf("%s %s has no licence file: do without this module, or find out its terms", p.name, p.version)
		}
		parts = append(parts, p)
	}
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return parts, nil
}

// goCommand runs the go command in dir, for a platform, and returns its output.
func goCommand(t target, dir string, arguments ...string) ([]byte, error) {
	command := exec.CommandContext(context.Background(), "go", arguments...) // It takes a second or so. Ctrl-C ends both.
	command.Dir, command.Stderr = dir, os.Stderr
	command.Env = append(os.Environ(), "GOOS="+t.os, "GOARCH="+t.arch, "CGO_ENABLED=0")
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w", arguments[0], err)
	}
	return out, nil
}

// byDepth orders paths by the number of their folders, and then by name.
func byDepth(a, b string) int {
	if d := strings.Count(a, "/") - strings.Count(b, "/"); d != 0 {
		return d
	}
	return strings.Compare(a, b)
}

var (
	legal   = regexp.MustCompile(`(?i)^(licen[cs]es?|unlicense|copying|notice|patents|copyright|[a-z.-]+\.licen[cs]e)([._-].*)?$`)
	licence = regexp.MustCompile(`(?i)licen[cs]e|copying`)
	source  = regexp.MustCompile(`\.go$`)
)

// isLicence reports whether a file has terms, and is not only a notice.
func isLicence(path string) bool { return licence.MatchString(filepath.Base(path)) }

// legalTexts returns the files in a folder that have licences or notices.
func legalTexts(folder string) (texts []string, err error) {
	entries, err := os.ReadDir(folder)
	for _, entry := range entries {
		if !entry.IsDir() && legal.MatchString(entry.Name()) && !source.MatchString(entry.Name()) {
			texts = append(texts, filepath.Join(folder, entry.Name()))
		}
	}
	return texts, err
}

// standardLibrary returns the standard library of the go command that runs in dir.
func standardLibrary(t target, dir string) (part, error) {
	out, err := goCommand(t, dir, "env", "GOROOT", "GOVERSION")
	if err != nil {
		return part{}, err
	}
	root, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	texts, err := legalTexts(root)
	version = strings.TrimPrefix(version, "go")
	return part{name: "Go's standard library", version: version, url: packageURL("golang", "std", version), texts: texts}, err
}

var bundled = regexp.MustCompile(`PACKAGE_VERSION:"([0-9.]+)"`)

// swaggerUIPackage is the folder into which make dist fetches Swagger UI's npm package.
const swaggerUIPackage = "bin/swagger-ui/node_modules/swagger-ui-dist"

// swaggerUI returns the Swagger UI in a module, with the licence in its npm package: the module has no copy of it.
func swaggerUI(module, npmPackage string) (part, error) {
	const bundle = "v5/static/swagger-ui-bundle.js.gz" // As service/gateway/docs.go serves it.
	file, err := os.Open(filepath.Join(module, bundle))
	if err != nil {
		return part{}, err
	}
	defer func() { _ = file.Close() }()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return part{}, err
	}
	script, err := io.ReadAll(unpacked)
	if err != nil {
		return part{}, err
	}
	m := bundled.FindSubmatch(script)
	if m == nil {
		return part{}, fmt.Errorf("%s does not name the version of Swagger UI", bundle)
	}
	version := string(m[1])
	var fetched struct{ Version string }
	about, err := os.ReadFile(filepath.Join(npmPackage, "package.json"))
	if err == nil {
		err = json.Unmarshal(about, &fetched)
	}
	if err != nil {
		return part{}, err
	}
	if fetched.Version != version {
		return part{}, fmt.Errorf("%s has Swagger UI %s, and the licence is that of %s: change packaging/swagger-ui",
			bundle, version, fetched.Version)
	}
	texts, err := legalTexts(npmPackage)
	if err == nil && !slices.ContainsFunc(texts, isLicence) {
		err = fmt.Errorf("%s has no licence file", npmPackage)
	}
	if err != nil {
		return part{}, err
	}
	return part{name: "Swagger UI", version: version, url: packageURL("npm", "swagger-ui-dist", version), texts: texts}, nil
}

// packageURL returns the name of a package in a registry, as SBOMs write it.
func packageURL(kind, name, version string) string {
	return "pkg:" + kind + "/" + strings.ToLower(name) + "@" + strings.ReplaceAll(version, "+", "%2B")
}
