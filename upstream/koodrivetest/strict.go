package koodrivetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// parse parses a script, or a part of one, into v. By default, the library refuses repeated keys, text after the end
// and invalid UTF-8. The error is one line about the first mistake: see [ParseScript].
func parse(data []byte, v any) error {
	used := make(ids)
	// The first function for a type decides, unless it returns errors.ErrUnsupported, as refuseNull does.
	err := json.Unmarshal(data, v, json.RejectUnknownMembers(true), json.WithUnmarshalers(json.JoinUnmarshalers(
		json.UnmarshalFromFunc(refuseNull),
		json.UnmarshalFromFunc(readString),
		json.UnmarshalFromFunc(readInt),
		json.UnmarshalFromFunc(readDuration),
		json.UnmarshalFromFunc(readHeader),
		json.UnmarshalFromFunc(readFault),
		json.UnmarshalFromFunc(readSteps),
		json.UnmarshalFromFunc(used.readTask),
		json.UnmarshalFromFunc(used.readToken),
		json.UnmarshalFromFunc(used.readApp),
	)))
	if err == nil {
		return nil
	}
	return explain(data, err)
}

// explain converts an error of the library into one for the author of the script.
func explain(data []byte, err error) error {
	offset, pointer, why := int64(0), jsontext.Pointer(""), err.Error()
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset, pointer, why = syntactic.ByteOffset, syntactic.JSONPointer, syntactic.Err.Error()
	} else if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		offset, pointer, why = semantic.ByteOffset, semantic.JSONPointer, reason(semantic)
	}
	where := fmt.Sprintf("line %d: ", 1+bytes.Count(data[:offset], []byte("\n")))
	if pointer != "" { // Quoted, because a key may contain line breaks. The quotes are removed.
		quoted := fmt.Sprintf("%.200q", pointer)
		where += quoted[1:len(quoted)-1] + ": "
	}
	return errors.New(where + why)
}

// reason returns why a value is invalid. The library's text would name a Go type.
func reason(err *json.SemanticError) string {
	if err.Err != nil && !errors.Is(err, strconv.ErrSyntax) && !errors.Is(err, strconv.ErrRange) {
		return err.Err.Error()
	}
	t := err.GoType
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Bool:
		return "must be true or false"
	case t.Kind() == reflect.String || t == reflect.TypeFor[time.Duration]():
		return "must be a string"
	case t.Kind() == reflect.Int || t.Kind() == reflect.Int64:
		return "must be a 64-bit integer"
	case t.Kind() == reflect.Slice:
		return "must be an array"
	default:
		return "must be an object"
	}
}

// memberError returns an error about a member of the object that dec has just read.
func memberError(dec *jsontext.Decoder, key, why string) error {
	return &json.SemanticError{JSONPointer: dec.StackPointer().AppendToken(key), Err: errors.New(why)}
}

// refuseNull refuses null, which the library accepts as the zero value.
func refuseNull(dec *jsontext.Decoder, v any) error {
	switch v.(type) {
	case *anything, *fieldValues, *jsontext.Value:
		return errors.ErrUnsupported
	}
	if dec.PeekKind() == 'n' {
		return &json.SemanticError{GoType: reflect.TypeOf(v)}
	}
	return errors.ErrUnsupported
}

// neverEmpty are the keys whose strings must not be empty.
var neverEmpty = map[string]bool{"token": true, "id": true, "secret": true, "taskId": true}

func readString(dec *jsontext.Decoder, s *string) error {
	type plain string
	err := json.UnmarshalDecode(dec, (*plain)(s))
	if err == nil && *s == "" && neverEmpty[dec.StackPointer().LastToken()] {
		return errors.New("must not be empty")
	}
	return err
}

// limits are the smallest and largest int for each key.
var limits = map[string][2]int64{"status": {200, 999}, "pad": {0, 1 << 30}} // A padded body is held in memory.

func readInt(dec *jsontext.Decoder, n *int) error {
	var wide int64
	if err := json.UnmarshalDecode(dec, &wide); err != nil {
		return err
	}
	limit := limits[dec.StackPointer().LastToken()]
	if wide < limit[0] || wide > limit[1] {
		return fmt.Errorf("must be from %d to %d", limit[0], limit[1])
	}
	*n = int(wide)
	return nil
}

func readDuration(dec *jsontext.Decoder, d *time.Duration) error {
	var s string
	err := json.UnmarshalDecode(dec, &s)
	if err != nil {
		return err
	}
	if *d, err = time.ParseDuration(s); err != nil {
		return fmt.Errorf(`%.40q is not a duration such as "1.5s"`, s)
	}
	if *d < 0 && dec.StackPointer() != "/skew" { // A clock may be behind.
		return errors.New("must not be negative")
	}
	return nil
}
