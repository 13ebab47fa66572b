// Package change builds the code with a small change to it. Nothing in the checkout is changed: the changed file lies elsewhere,
// and go is told to read it in place of the real one. So other builds may run meanwhile.
package change

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Change replaces a piece of a file.
type Change struct {
	File     string // From the root of the checkout, where the program runs.
	From, To string // From stands in the file once.
}

// Apply returns the file as the change makes it, given how it is.
func (c Change) Apply(text string) (string, error) {
	if n := strings.Count(text, c.From); n != 1 || c.From == c.To {
		return "", fmt.Errorf("stale: what it changes stands in %s %d times", c.File, n)
	}
	return strings.Replace(text, c.From, c.To, 1), nil
}

// Overlay writes the changed file into a new folder below dir, and returns the flag of go build and go test that makes them
// read it.
func (c Change) Overlay(dir string) (flag string, err error) {
	file, err := filepath.Abs(c.File)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	changed, err := c.Apply(string(text))
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
	err = errors.Join(os.WriteFile(copied, []byte(changed), 0o600), os.WriteFile(overlay, instead, 0o600))
	return "-overlay=" + overlay, err
}
