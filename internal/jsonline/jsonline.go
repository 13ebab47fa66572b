// Package jsonline writes protobuf messages as JSON that stays on one line for every reader, also for those that split
// text wherever Unicode allows a line to end (Python's splitlines, for example). It knows no stream and no HTTP.
//
//	line, err := jsonline.Marshal(protojson.MarshalOptions{EmitDefaultValues: true}, task)
package jsonline

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// lineEnds are the characters that may end a line and that JSON allows in a string as they are. ASCII's own line ends are
// always escaped.
var lineEnds = []struct{ char, escaped []byte }{
	{[]byte("\u0085"), []byte(`\u0085`)},
	{[]byte("\u2028"), []byte(`\u2028`)},
	{[]byte("\u2029"), []byte(`\u2029`)},
}

// Marshal returns m as JSON without optional white space, which protojson varies from build to build. It fails if text in
// m is not UTF-8.
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
