package koodrivetest

import (
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// readFault reads a fault. Its body has one of two keys, body or json.
func readFault(dec *jsontext.Decoder, f *Fault) error {
	type plain Fault
	var read struct {
		plain
		JSON anything `json:"json"`
	}
	if err := json.UnmarshalDecode(dec, &read); err != nil {
		return err
	}
	*f = Fault(read.plain)
	if read.JSON == "" {
		return nil
	}
	if f.Body != nil {
		return memberError(dec, "json", "cannot be combined with body")
	}
	f.Body = new(string(read.JSON))
	return nil
}

// anything is the compact text of any JSON value. A name may occur twice in it, to test clients.
type anything string

// UnmarshalJSONFrom keeps the text of the value.
func (a *anything) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var value jsontext.Value
	if err := json.UnmarshalDecode(dec, &value, jsontext.AllowDuplicateNames(true)); err != nil {
		return err
	}
	err := value.Compact()
	*a = anything(value)
	return err
}

// fieldName matches the header names that HTTP allows. Go's server drops others without an error.
var fieldName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// readHeader reads the header fields to replace. Names must be unique, ignoring case.
func readHeader(dec *jsontext.Decoder, h *http.Header) error {
	var fields map[string]fieldValues
	if err := json.UnmarshalDecode(dec, &fields); err != nil {
		return err
	}
	*h = make(http.Header)
	for _, name := range slices.Sorted(maps.Keys(fields)) { // Sorted, so that the same mistake is always reported first.
		canonical := http.CanonicalHeaderKey(name)
		if !fieldName.MatchString(name) {
			return memberError(dec, name, "is not the name of a header field")
		}
		if _, twice := (*h)[canonical]; twice {
			return memberError(dec, name, "differs only in case from another key")
		}
		(*h)[canonical] = fields[name]
	}
	return nil
}

// fieldValues are the values of a header field: a string, an array of strings, or null to remove the field.
type fieldValues []string

// UnmarshalJSONFrom reads a string, an array or null.
func (f *fieldValues) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var err error
	switch dec.PeekKind() {
	case 'n':
		return dec.SkipValue()
	case '[':
		err = json.UnmarshalDecode(dec, (*[]string)(f))
	default:
		*f = make(fieldValues, 1)
		err = json.UnmarshalDecode(dec, &(*f)[0])
	}
	for _, value := range *f {
		if err == nil && strings.ContainsFunc(value, unicode.IsControl) {
			err = errors.New("must not have a control character")
		}
	}
	return err
}
