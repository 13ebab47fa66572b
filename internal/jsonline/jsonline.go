// Package jsonline writes protobuf messages as JSON on one line, even for readers that split text at every Unicode line
// end, such as Python's splitlines. It does not handle streams or HTTP.
//
//	line, err := jsonline.Marshal(protojson.MarshalOptions{EmitDefaultValues: true}, task)
package jsonline

import (
	"bytes"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// lineEnds are the characters that JSON allows unescaped in a string and that may end a line. ASCII's line ends are
// always escaped.
var lineEnds = []struct{ char, escaped []byte }{
	{[]byte("\u0085"), []byte(`\u0085`)},
	{[]byte("\u2028"), []byte(`\u2028`)},
	{[]byte("\u2029"), []byte(`\u2029`)},
}

// Marshal returns m as JSON without optional white space, which protojson varies between builds. It fails if a string
// in m is not UTF-8.
func Marshal(form protojson.MarshalOptions, m proto.Message) ([]byte, error) {
	line, err := marshal(form, m)
	if err != nil {
		return nil, err
	}
	for _, end := range lineEnds {
		if bytes.Contains(line, end.char) {
			line = bytes.ReplaceAll(line, end.char, end.escaped)
		}
	}
	return line, nil
}

// marshal returns m as JSON without optional white space.
func marshal(form protojson.MarshalOptions, m proto.Message) ([]byte, error) {
	if form == plainForm {
		const usual = 512
		if line, ok := appendPlain(make([]byte, 0, usual), m.ProtoReflect()); ok {
			return line, nil
		}
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	text, err := form.MarshalAppend((*buffer)[:0], m)
	if err != nil {
		return nil, err
	}
	*buffer = text
	return compact(text), nil
}

// buffers are for the text with white space, of type *[]byte.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// compact returns text without the spaces between its tokens. Unlike [json.Compact], it relies on text being JSON of
// protojson on one line, and takes a quarter of the time.
func compact(text []byte) []byte {
	line := make([]byte, 0, len(text))
	for len(text) > 0 {
		// 1. Spaces up to the next string are left out.
		start := bytes.IndexByte(text, '"')
		if start < 0 {
			start = len(text)
		}
		for _, b := range text[:start] {
			if b != ' ' {
				line = append(line, b)
			}
		}
		// 2. The string is copied.
		end := start + stringLength(text[start:])
		line = append(line, text[start:end]...)
		text = text[end:]
	}
	return line
}

// stringLength returns the length of the string at the start of a text, with its quotes. 0 if the text is empty.
func stringLength(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return len(text)
}
