// Package credfile reads the files on which security rests: certificates, keys, secrets, tokens and policies. A file is read
// whole or refused by its name: nothing in it is skipped because it is damaged. A file that hangs is reported.
//
//	content, err := credfile.Read("ca.pem")
//	…
//	pool, err := credfile.File{Name: "ca.pem", Content: content}.Pool()
//
// It does not follow files: see package reload. No error holds anything of what is in a file.
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
	// Patience is how long a read may take before it is reported. It goes on all the same: nothing can end it.
	Patience = 5 * time.Second
	// MaxSize is the size of the largest file, in bytes.
	MaxSize = 4 << 20
)

// File is what was read, and from where.
type File struct {
	Name    string
	Content []byte
}

// Read returns what is in a file. It fails after [Patience], and leaves behind the goroutine that waits for the system.
func Read(name string) ([]byte, error) {
	return NewReader(name).Read(context.Background())
}

// Reader reads one file repeatedly. While a read hangs, no second one is started. It is not safe for concurrent use.
type Reader struct {
	name     string
	patience time.Duration
	pending  chan result // Of the read that has begun, nil if none has. It has room for the result.
}

type result struct {
	content []byte
	err     error
}

// NewReader returns a Reader for a file, which need not exist yet.
func NewReader(name string) *Reader { return &Reader{name: name, patience: Patience} }

// Read returns what is in the file. It fails when ctx ends, or after [Patience]; the next Read then waits for the same result.
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

// blanks is the space that editors and shells leave around a line. Unicode has more, which becomes part of what is meant.
const blanks = " \t\r\n"

// Lines returns the lines that are not blank, each without the space around it: one at least. It refuses whatever is not
// visible ASCII, such as a no-break space, since what is read must be what was meant.
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

// refuse says what is wrong with the file, in a line; 0: as a whole.
func (f File) refuse(line int, problem string) error {
	if line == 0 {
		return fmt.Errorf("%s %s", f.Name, problem)
	}
	return fmt.Errorf("%s, line %d, %s", f.Name, line, problem)
}
