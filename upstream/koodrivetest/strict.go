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

// parse reads data into v, which is a script or a part of one. Without being told so, the library refuses a key that occurs twice, text
// after the end and invalid UTF-8. The error is one line about the first mistake: line 7: /tasks/1/steps/0/for: "soon" is not a duration such as "1.5s"
func parse(data []byte, v any) error {
	used := make(ids)
	// The first function for a type decides, unless it returns errors.ErrUnsupported as refuseNull does.
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

// explain turns an error of the library's about data into one for the script's author.
func explain(data []byte, err error) error {
	offset, pointer, why := int64(0), jsontext.Pointer(""), err.Error()
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		offset, pointer, why = syntactic.ByteOffset, syntactic.JSONPointer, syntactic.Err.Error()
	} else if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		offset, pointer, why = semantic.ByteOffset, semantic.JSONPointer, reason(semantic)
	}
	where := fmt.Sprintf("line %d: ", 1+bytes.Count(data[:offset], []byte("\n")))
	if pointer != "" { // Without its quotes, but still on one line, whatever a key holds.
		quoted := fmt.Sprintf("%.200q", pointer)
		where += quoted[1:len(quoted)-1] + ": "
	}
	return errors.New(where + why)
}

// reason says what is wrong with a value: the library itself would name a type of Go's.
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

// memberError is an error about a member of the object that dec has just read.
func memberError(dec *jsontext.Decoder, key, why string) error {
	return &json.SemanticError{JSONPointer: dec.StackPointer().AppendToken(key), Err: errors.New(why)}
}

// refuseNull refuses null, which the library would take as the zero value.
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

// neverEmpty has the keys whose strings cannot be empty.
var neverEmpty = map[string]bool{"token": true, "id": true, "secret": true, "taskId": true}

func readString(dec *jsontext.Decoder, s *string) error {
	type plain string
	err := json.UnmarshalDecode(dec, (*plain)(s))
	if err == nil && *s == "" && neverEmpty[dec.StackPointer().LastToken()] {
		return errors.New("must not be empty")
	}
	return err
}

// limits has the least and the greatest int under each key.
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
	if *d < 0 && dec.StackPointer() != "/skew" { // A clock can be behind.
		return errors.New("must not be negative")
	}
	return nil
}
