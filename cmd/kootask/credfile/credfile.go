// Package credfile reads the files that security depends on: certificates, keys, secrets, tokens and policies. A file is read
// whole or refused by its name: damaged parts are never skipped. A file that hangs is reported.
//
//	content, err := credfile.Read("ca.pem")
//	…
//	pool, err := credfile.File{Name: "ca.pem", Content: content}.Pool()
//
// It does not follow files: see package reload. Errors never contain the content of a file.
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
	// Patience is the maximum duration of a read before it is reported. The read continues, because it cannot be ended.
	Patience = 5 * time.Second
	// MaxSize is the size of the largest file, in bytes.
	MaxSize = 4 << 20
)

// File is the content of a file, with its name.
type File struct {
	Name    string
	Content []byte
}

// Read returns the content of a file. It fails after [Patience], and leaves behind the goroutine that waits for the system.
func Read(name string) ([]byte, error) {
	return NewReader(name).Read(context.Background())
}

// Reader reads one file repeatedly. While a read hangs, no second one is started. It is not safe for concurrent use.
type Reader struct {
	name     string
	patience time.Duration
	pending  chan result // Result of the read in progress, nil without one. Of capacity 1.
}

type result struct {
	content []byte
	err     error
}

// NewReader returns a Reader for a file, which need not exist yet.
func NewReader(name string) *Reader { return &Reader{name: name, patience: Patience} }

// Read returns the content of the file. It fails when ctx ends, or after [Patience]. The next Read then waits for the same result.
func (r *Reader) Read(ctx context.Context) ([]byte, error) {
	if r.pending == nil {
		pending := make(chan result, 1)
		r.pending = pending
		// Nobody waits for this goroutine: opening a named pipe or reading from a dead network mount may never return.
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
	if bytes.HasPrefix(f.Content, []byte("\xff\xfe")) || bytes.HasPrefix(f.Content, []byte("\xfe\xff")) || bytes.ContainsRune(f.Content, 0) {
		return "", f.refuse(0, "is UTF-16 or binary: save it as plain text (UTF-8)")
	}
	return strings.TrimPrefix(string(f.Content), "\ufeff"), nil
}

// blanks is the set of spaces that editors and shells leave around a line. Unicode has more, which are part of the text.
const blanks = " \t\r\n"

// Lines returns the lines that are not empty, at least one, each without the spaces around it. It refuses characters other
// than visible ASCII, such as a no-break space, because they are in a secret by mistake.
func (f File) Lines() ([]string, error) {
	text, err := f.text()
	if err != nil {
		return nil, err
	}
	var lines []string
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.Trim(line, blanks)
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

// refuse returns the error about a line of the file, or about the whole file if the line is 0.
func (f File) refuse(line int, problem string) error {
	if line == 0 {
		return fmt.Errorf("%s %s", f.Name, problem)
	}
	return fmt.Errorf("%s, line %d, %s", f.Name, line, problem)
}
