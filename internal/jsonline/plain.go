package jsonline

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// plainForm is the form in which plain messages are written without protojson.
var plainForm = protojson.MarshalOptions{EmitDefaultValues: true}

// appendPlain appends the JSON of a plain message, as protojson does in plainForm, in a tenth of the time: protojson
// sorts the fields of each message. A message is plain if its fields are numbers, booleans, enums, times, texts without
// escapes, and plain messages. appendPlain reports false if m is not plain.
func appendPlain(line []byte, m protoreflect.Message) (_ []byte, ok bool) {
	if isWellKnown(m.Descriptor()) {
		return line, false
	}
	line = append(line, '{')
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.IsList() || f.IsMap() {
			return line, false
		}
		if f.HasPresence() && !m.Has(f) {
			continue
		}
		if line[len(line)-1] != '{' {
			line = append(line, ',')
		}
		line = append(line, '"')
		line = append(line, f.JSONName()...)
		line = append(line, `":`...)
		if line, ok = appendValue(line, f, m.Get(f)); !ok {
			return line, false
		}
	}
	return append(line, '}'), true
}

// isWellKnown reports whether a message may have a JSON form of its own.
func isWellKnown(m protoreflect.MessageDescriptor) bool {
	return m.ParentFile().Package() == "google.protobuf"
}

// appendValue appends the value of a field. It reports false if the value is not plain.
func appendValue(line []byte, f protoreflect.FieldDescriptor, v protoreflect.Value) (_ []byte, ok bool) {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return strconv.AppendBool(line, v.Bool()), true
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return strconv.AppendInt(line, v.Int(), 10), true
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return strconv.AppendUint(line, v.Uint(), 10), true
	case protoreflect.StringKind:
		return appendText(line, v.String())
	case protoreflect.EnumKind:
		value := f.Enum().Values().ByNumber(v.Enum())
		if value == nil {
			return strconv.AppendInt(line, int64(v.Enum()), 10), true
		}
		return appendText(line, string(value.Name()))
	case protoreflect.MessageKind:
		if at, isTime := v.Message().Interface().(*timestamppb.Timestamp); isTime {
			return appendTime(line, at)
		}
		return appendPlain(line, v.Message())
	default:
		return line, false
	}
}

// appendText appends a text in quotes. It reports false if a character has to be escaped, or if it is not UTF-8.
func appendText(line []byte, text string) (_ []byte, ok bool) {
	for i := range len(text) {
		if b := text[i]; b < ' ' || b == '"' || b == '\\' || b == 0x7f {
			return line, false
		}
	}
	line = append(line, '"')
	line = append(line, text...)
	return append(line, '"'), utf8.ValidString(text)
}

// appendTime appends a time with 0, 3, 6 or 9 decimals. It reports false if it is invalid.
func appendTime(line []byte, at *timestamppb.Timestamp) (_ []byte, ok bool) {
	line = at.AsTime().AppendFormat(append(line, '"'), "2006-01-02T15:04:05.000000000")
	for _, zeros := range []string{"000", "000", ".000"} {
		line = bytes.TrimSuffix(line, []byte(zeros))
	}
	return append(line, `Z"`...), at.IsValid()
}
