// Package credfile reads the files that security depends on: certificates, keys, secrets, tokens and policies. A file
// is read completely or refused: damaged parts are never skipped. A read that hangs is reported.
//
//	content, err := credfile.Read("ca.pem")
//	…
//	pool, err := credfile.File{Name: "ca.pem", Content: content}.Pool()
//
// The package does not watch files: see package reload. Errors contain the name of a file, but never its content.
package credfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/ascii"
)

// Limits of a read.
const (
	// Patience is the time after which a read is reported to hang. The read continues, because it cannot be cancelled.
	Patience = 5 * time.Second
	// MaxSize is the size of the largest accepted file, in bytes.
	MaxSize = 4 << 20
)

// File is the content of a file, with its name.
type File struct {
	Name    string
	Content []byte
}

// Read returns the content of a file. It fails after [Patience], and leaves the reading goroutine behind.
func Read(name string) ([]byte, error) {
	return NewReader(name).Read(context.Background())
}

// Reader reads one file repeatedly. While a read hangs, no second one is started. It is not safe for concurrent use.
type Reader struct {
	name     string
	patience time.Duration
	pending  chan result // Result of the read in progress; nil without one. Capacity 1.
}

type result struct {
	content []byte
	err     error
}

// NewReader returns a Reader for a file, which need not exist yet.
func NewReader(name string) *Reader { return &Reader{name: name, patience: Patience} }

// Read returns the content of the file. It fails when ctx ends, or after [Patience]. The next Read then waits for the
// same result.
func (r *Reader) Read(ctx context.Context) ([]byte, error) {
	if r.pending == nil {
		pending := make(chan result, 1)
		r.pending = pending
		// This goroutine is not waited for: opening a named pipe or reading from a dead network mount may never return.
		go func() {
			content, err := read(r.name)
			pending <- result{content, err}
		}()
	}
	patience := time.NewTimer(r.patience)
	defer patience.Stop()
	select {
	case got := <-r.pending:
		r.pending = nil
		return got.content, got.err
	case <-patience.C:
		return nil, fmt.Errorf("reading %s takes longer than %v", r.name, r.patience)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func read(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, MaxSize+1))
	if err == nil && len(content) > MaxSize {
		err = fmt.Errorf("%s has more than %d MiB", name, MaxSize>>20)
	}
	return content, err
}

// text returns the content as text, without a byte order mark.
func (f File) text() (string, error) {
	utf16 := bytes.HasPrefix(f.Content, []byte("\xff\xfe")) || bytes.HasPrefix(f.Content, []byte("\xfe\xff"))
	if utf16 || bytes.ContainsRune(f.Content, 0) {
		return "", f.refuse(0, "is UTF-16 or binary: save it as plain text (UTF-8)")
	}
	return strings.TrimPrefix(string(f.Content), "\ufeff"), nil
}

// spaces are the characters that editors and shells leave around a line. Other Unicode spaces are part of the text.
const spaces = " \t\r\n"

// Lines returns the non-empty lines, at least one, without the spaces around them. It refuses characters other than
// printable ASCII, such as a no-break space: in a secret they are a mistake.
func (f File) Lines() ([]string, error) {
	text, err := f.text()
	if err != nil {
		return nil, err
	}
	var lines []string
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.Trim(line, spaces)
		if !ascii.Printable(line) {
			return nil, f.refuse(number, "has a character that is not visible ASCII")
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, f.refuse(0, "is empty")
	}
	return lines, nil
}

// refuse returns the error for a line of the file; line 0 stands for the whole file.
func (f File) refuse(line int, problem string) error {
	if line == 0 {
		return fmt.Errorf("%s %s", f.Name, problem)
	}
	return fmt.Errorf("%s, line %d, %s", f.Name, line, problem)
}
