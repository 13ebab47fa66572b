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

// readFault reads a fault, whose body is under one of two keys.
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

// anything is the text of any value, without space between its tokens. A name may occur twice in it, for the client under test to see.
type anything string

// UnmarshalJSONFrom keeps the value's text.
func (a *anything) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var value jsontext.Value
	if err := json.UnmarshalDecode(dec, &value, jsontext.AllowDuplicateNames(true)); err != nil {
		return err
	}
	err := value.Compact()
	*a = anything(value)
	return err
}

// fieldName matches the names of header fields that HTTP allows. Go's server leaves out all others without an error.
var fieldName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// readHeader reads the fields to replace, each of which has one name, whatever its case.
func readHeader(dec *jsontext.Decoder, h *http.Header) error {
	var fields map[string]fieldValues
	if err := json.UnmarshalDecode(dec, &fields); err != nil {
		return err
	}
	*h = make(http.Header)
	for _, name := range slices.Sorted(maps.Keys(fields)) { // Of two mistakes always the same is reported.
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

// fieldValues are those of a header field: a string, an array of strings, or null to remove the field.
type fieldValues []string

// UnmarshalJSONFrom reads one of the three forms.
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
