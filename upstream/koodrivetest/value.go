package koodrivetest

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// wrongType is the error about a token that is not what was wanted.
func (r *reader) wrongType(token json.Token, want string) error {
	got := "null"
	switch t := token.(type) {
	case json.Delim:
		got = map[json.Delim]string{'{': "an object", '[': "an array"}[t]
	case string:
		got = "a string"
	case json.Number:
		got = "a number"
	case bool:
		got = "a boolean"
	}
	return r.errorf("is %s, not %s", got, want)
}

func (r *reader) text(to *string) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	s, ok := token.(string)
	if !ok {
		return r.wrongType(token, "a string")
	}
	*to = s
	return nil
}

// filled reads a string that is not empty.
func (r *reader) filled(to *string) error {
	if err := r.text(to); err != nil {
		return err
	}
	if *to == "" {
		return r.errorf("is empty")
	}
	return nil
}

// unique reads a string that is not empty and not in seen yet.
func (r *reader) unique(to *string, seen map[string]bool) error {
	if err := r.filled(to); err != nil {
		return err
	}
	if seen[*to] {
		return r.errorf("%.40q is there twice", *to)
	}
	seen[*to] = true
	return nil
}

func (r *reader) boolean(to *bool) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	b, ok := token.(bool)
	if !ok {
		return r.wrongType(token, "a boolean")
	}
	*to = b
	return nil
}

// number takes a whole number from a token that was read.
func (r *reader) number(token json.Token, to *int64, want string) error {
	number, ok := token.(json.Number)
	if !ok {
		return r.wrongType(token, want)
	}
	n, err := strconv.ParseInt(number.String(), 10, 64)
	if err != nil {
		return r.errorf("%.40s is no whole number", number)
	}
	*to = n
	return nil
}

// whole reads a number from least to most.
func (r *reader) whole(to *int, least, most int) error {
	token, err := r.token()
	if err != nil {
		return err
	}
	var n int64
	if err := r.number(token, &n, "a number"); err != nil {
		return err
	}
	if n < int64(least) || n > int64(most) {
		return r.errorf("%d is not from %d to %d", n, least, most)
	}
	*to = int(n)
	return nil
}

// offset reads a duration of either sign.
func (r *reader) offset(to *time.Duration) error {
	var s string
	if err := r.text(&s); err != nil {
		return err
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return r.errorf("%.40q is no duration", s)
	}
	*to = d
	return nil
}

func (r *reader) duration(to *time.Duration) error {
	if err := r.offset(to); err != nil {
		return err
	}
	if *to < 0 {
		return r.errorf("%v is negative", *to)
	}
	return nil
}

// anything reads any value and keeps its text, without blanks between its tokens.
func (r *reader) anything(to *string) error {
	var raw json.RawMessage
	if err := r.decoder.Decode(&raw); err != nil {
		return r.syntaxError(err)
	}
	if !utf8.Valid(raw) {
		return r.errorf("is not in UTF-8")
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return r.errorf("%v", err)
	}
	*to = b.String()
	return nil
}
