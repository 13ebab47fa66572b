package koodrivetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// reader reads one JSON text from its beginning to its end, without a tree in between: what is wrong first is met first.
// After an error it must not be used.
type reader struct {
	data    []byte
	decoder *json.Decoder
	path    string // of the value that is being read, like tasks[1].steps[0].for; empty for the whole text
}

// readAll reads data, which must hold one value, with read.
func readAll(data []byte, read func(*reader) error) error {
	r := &reader{data: data, decoder: json.NewDecoder(bytes.NewReader(data))}
	r.decoder.UseNumber()
	if err := read(r); err != nil {
		return err
	}
	if _, err := r.decoder.Token(); !errors.Is(err, io.EOF) {
		return r.syntaxError(err)
	}
	return nil
}

// object reads an object with these keys, which read their own values. The required ones must be there.
func (r *reader) object(keys map[string]func() error, required ...string) error {
	seen, outer, line := make(map[string]bool), r.path, 0
	err := r.members(func(key string) error {
		read, known := keys[key]
		if !known {
			return r.errorf("is no key here")
		}
		seen[key] = true
		return read()
	}, &line)
	if err != nil {
		return err
	}
	for _, key := range required {
		if !seen[key] {
			r.path = join(outer, key)
			return r.errorAt(line, "is missing")
		}
	}
	return nil
}

// members reads an object with any keys, each once, and sets line to where it begins.
func (r *reader) members(read func(key string) error, line *int) error {
	if err := r.open('{', "an object"); err != nil {
		return err
	}
	*line = r.line(r.decoder.InputOffset())
	outer, seen := r.path, make(map[string]bool)
	for r.decoder.More() {
		token, err := r.token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // the decoder takes nothing else for a key
		r.path = join(outer, key)
		if seen[key] {
			return r.errorf("is there twice")
		}
		seen[key] = true
		if err := read(key); err != nil {
			return err
		}
		r.path = outer
	}
	_, err := r.token()
	return err
}

// list reads an array, each element with read.
func (r *reader) list(read func() error) error {
	if err := r.open('[', "an array"); err != nil {
		return err
	}
	return r.elements(read)
}

// elements reads the rest of an array, which has been opened.
func (r *reader) elements(read func() error) error {
	outer := r.path
	for i := 0; r.decoder.More(); i++ {
		r.path = outer + "[" + strconv.Itoa(i) + "]"
		if err := read(); err != nil {
			return err
		}
		r.path = outer
	}
	_, err := r.token()
	return err
}

func (r *reader) open(delim json.Delim, want string) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	if token != delim {
		return r.wrongType(token, want)
	}
	return nil
}

func (r *reader) token() (json.Token, error) {
	start := r.decoder.InputOffset()
	token, err := r.decoder.Token()
	if err != nil {
		return nil, r.syntaxError(err)
	}
	if !utf8.Valid(r.data[start:r.decoder.InputOffset()]) {
		return nil, r.errorf("is not in UTF-8")
	}
	return token, nil
}

// simpleKey is what a path shows as it is. Other keys are quoted, so that an error stays on one line.
var simpleKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

func join(path, key string) string {
	switch {
	case !simpleKey.MatchString(key):
		return path + fmt.Sprintf("[%.40q]", key)
	case path == "":
		return key
	}
	return path + "." + key
}

// errorf is an error about the value at the reader's path, the last of whose tokens has just been read.
func (r *reader) errorf(format string, args ...any) error {
	return r.errorAt(r.line(r.decoder.InputOffset()), fmt.Sprintf(format, args...))
}

func (r *reader) errorAt(line int, why string) error {
	if r.path == "" {
		return fmt.Errorf("line %d: %s", line, why)
	}
	return fmt.Errorf("line %d: %s: %s", line, r.path, why)
}

// syntaxError is the error about text that is no JSON. The decoder stopped there, but does not reliably say where; the
// scan of the whole text does.
func (r *reader) syntaxError(err error) error {
	offset := r.decoder.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(json.Unmarshal(r.data, new(json.RawMessage)), &syntax) {
		offset, err = syntax.Offset-1, syntax // Offset counts the byte that is wrong
	}
	return r.errorAt(r.line(offset), err.Error())
}

// line is the line that has the byte at offset.
func (r *reader) line(offset int64) int {
	offset = min(max(offset, 0), int64(len(r.data)))
	return 1 + bytes.Count(r.data[:offset], []byte("\n"))
}
