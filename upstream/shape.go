package upstream

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxFields is the number of fields of an answer that an error names.
const MaxFields = 20

// fieldForm matches the names that are logged. Others may be anything, such as data or an echoed credential.
var fieldForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

// other stands for names that are not logged, and for fields beyond MaxFields.
const other = "…"

// kinds are the names of JSON types.
var kinds = map[jsontext.Kind]string{
	'n': "null", 't': "boolean", 'f': "boolean", '"': "string", '0': "number", '{': "object", '[': "array",
}

// shape describes an invalid body for the log: the names and types of its top-level fields, or its type if it is not an
// object, and never a value. If an object breaks off or becomes invalid, the fields before that are named. It is empty
// if the body is not JSON.
func shape(body []byte) string {
	lenient := []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}
	dec := jsontext.NewDecoder(bytes.NewReader(body), lenient...)
	if dec.PeekKind() == '{' {
		return fields(dec)
	}
	value := jsontext.Value(body)
	if !value.IsValid(lenient...) {
		return ""
	}
	return "type: " + kinds[value.Kind()]
}

// fields names the fields of the object that dec is about to read.
func fields(dec *jsontext.Decoder) string {
	if _, err := dec.ReadToken(); err != nil {
		return ""
	}
	var all []string
	for dec.PeekKind() == '"' {
		if len(all) == MaxFields {
			all = append(all, other)
			break
		}
		token, err := dec.ReadToken()
		if err != nil {
			break
		}
		name := token.String() // Valid until the next read.
		kind := kinds[dec.PeekKind()]
		if kind == "" || dec.SkipValue() != nil {
			break
		}
		if !fieldForm.MatchString(name) {
			name = other
		}
		all = append(all, name+":"+kind)
	}
	switch {
	case len(all) > 0:
		return "fields: " + strings.Join(all, " ")
	case dec.PeekKind() == '}':
		return "fields: none"
	default:
		return ""
	}
}
