package upstream

import (
	"bytes"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxFields is how many fields of an answer an error names.
const MaxFields = 20

// fieldForm is the form of names that are repeated. Any other name may be anything: somebody's data, or an echo of what was sent.
var fieldForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

// other stands for names of another form, and for fields beyond MaxFields.
const other = "…"

// kinds are the types of JSON.
var kinds = map[jsontext.Kind]string{
	'n': "null", 't': "boolean", 'f': "boolean", '"': "string", '0': "number", '{': "object", '[': "array",
}

// shape returns what the log may say of a body that does not fit: the names and types of its top-level fields, or its type if it is
// not an object, and never a value. Of an object that breaks off or is invalid further on, it names the fields before that.
// Empty if the body is not JSON.
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

// fields names those of the object that dec is about to read.
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
