package koodrivetest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"unicode"
)

// maxPad is how far a script may fill a body up. It is held in memory.
const maxPad = 1 << 30

// parseFault reads a fault alone.
func parseFault(data []byte) (*Fault, error) {
	f := new(Fault)
	err := readAll(data, func(r *reader) error { return r.fault(f) })
	return f, err
}

func (r *reader) fault(f *Fault) error {
	body := func(read func(*string) error) func() error {
		return func() error {
			if f.Body != nil {
				return r.errorf("the body is there already")
			}
			f.Body = new(string)
			return read(f.Body)
		}
	}
	return r.object(map[string]func() error{
		"latency":  func() error { return r.duration(&f.Latency) },
		"hang":     func() error { return r.boolean(&f.Hang) },
		"reset":    func() error { return r.boolean(&f.Reset) },
		"status":   func() error { return r.whole(&f.Status, 200, 999) },
		"header":   func() error { return r.header(f) },
		"taskId":   func() error { return r.filled(&f.TaskID) },
		"body":     body(r.text),
		"json":     body(r.anything),
		"pad":      func() error { return r.whole(&f.Pad, 0, maxPad) },
		"gzip":     func() error { return r.boolean(&f.Gzip) },
		"drip":     func() error { return r.duration(&f.Drip) },
		"truncate": func() error { return r.boolean(&f.Truncate) },
	})
}

// fieldName is what HTTP takes for the name of a header field. Go's server leaves all others out, without a word.
var fieldName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// header reads the fields to replace: a string, an array of strings, or null to remove the field.
func (r *reader) header(f *Fault) error {
	f.Header = make(http.Header)
	return r.members(func(name string) error {
		canonical := http.CanonicalHeaderKey(name)
		if !fieldName.MatchString(name) {
			return r.errorf("is no name of a header field")
		}
		if _, twice := f.Header[canonical]; twice {
			return r.errorf("is there twice")
		}
		values, err := r.fieldValues()
		f.Header[canonical] = values
		return err
	}, new(int))
}

func (r *reader) fieldValues() (values []string, err error) {
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	switch token {
	case nil:
		return nil, nil
	case json.Delim('['):
		err := r.elements(func() error {
			token, err := r.token()
			if err != nil {
				return err
			}
			return r.fieldValue(token, &values)
		})
		return values, err
	}
	return values, r.fieldValue(token, &values)
}

func (r *reader) fieldValue(token json.Token, values *[]string) error {
	value, ok := token.(string)
	if !ok {
		return r.wrongType(token, "a string")
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return r.errorf("has a control character")
	}
	*values = append(*values, value)
	return nil
}
