// Package change builds and tests the code with a small change. It does not modify the checkout: the changed file is
// written elsewhere, and go reads it in place of the original. So other builds can run at the same time.
//
// A change names a declaration and quotes an expression in it. It stays valid if the declaration is moved to another
// file of the package or reformatted. [Check] shows without running tests that changes apply and compile.
//
//	c := change.Change{In: "upstream.limiter.nextLocked", From: "l.most - l.inFlight", To: "l.most"}
//	flag, err := c.Overlay(dir) // For go build and go test.
package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Change replaces an expression.
type Change struct {
	// In is the function, method, constant, variable or type to change: the folder of its package, from the root of the
	// module, and its name, like service/watch.Hub.Subscribe. It may also be the path of a file that is not Go.
	In string
	// From is Go code that In contains exactly once. White space, line breaks and comments are ignored.
	From string
	// To replaces From.
	To string
}

// Overlay writes the changed file into a new folder below dir, and returns the flag that makes go build and go test
// read it. It must run in the root of the module.
func (c Change) Overlay(dir string) (flag string, err error) {
	changed, err := c.apply(&source{})
	if err != nil {
		return "", err
	}
	file, err := filepath.Abs(changed.path)
	if err != nil {
		return "", err
	}
	if dir, err = os.MkdirTemp(dir, ""); err != nil {
		return "", err
	}
	copied, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	instead, err := json.Marshal(map[string]map[string]string{"Replace": {file: copied}})
	if err != nil {
		return "", err
	}
	err = errors.Join(os.WriteFile(copied, changed.text, 0o600), os.WriteFile(overlay, instead, 0o600))
	return "-overlay=" + overlay, err
}

// file is a file with its content.
type file struct {
	path string // From the root of the module.
	text []byte
}

// apply returns the changed file.
func (c Change) apply(s *source) (file, error) {
	if c.From == c.To {
		return file{}, errors.New("the change replaces a text with itself")
	}
	d, err := s.find(c.In)
	if err != nil {
		return file{}, fmt.Errorf("%w%s", err, s.elsewhere(c))
	}
	pattern := lexemes([]byte(c.From))
	if len(pattern) == 0 {
		return file{}, errors.New("the text to replace is empty")
	}
	found := d.all(pattern)
	switch len(found) {
	case 0:
		return file{}, fmt.Errorf("%w%s", d.missing(pattern, c.From), s.elsewhere(c))
	case 1:
	default:
		return file{}, d.ambiguous(found, c.From)
	}
	text := append([]byte{}, d.text[:found[0].start]...)
	text = append(text, c.To...)
	return file{d.path, append(text, d.text[found[0].end:]...)}, nil
}
