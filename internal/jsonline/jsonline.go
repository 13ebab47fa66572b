// Package jsonline writes protobuf messages as JSON on one line, even for readers that split text at every Unicode line
// end, such as Python's splitlines. It does not handle streams or HTTP.
//
//	line, err := jsonline.Marshal(protojson.MarshalOptions{EmitDefaultValues: true}, task)
package jsonline

import (
	"bytes"
	"encoding/json"

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
	text, err := form.Marshal(m)
	if err != nil {
		return nil, err
	}
	var line bytes.Buffer
	line.Grow(len(text))
	if err := json.Compact(&line, text); err != nil {
		return nil, err
	}
	escaped := line.Bytes()
	for _, end := range lineEnds {
		if bytes.Contains(escaped, end.char) {
			escaped = bytes.ReplaceAll(escaped, end.char, end.escaped)
		}
	}
	return escaped, nil
}
