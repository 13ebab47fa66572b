package jsonline_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/jsonline"
)

func TestMarshal(t *testing.T) {
	var name strings.Builder // Every character that ends a line in some language, and some that do not.
	for r := rune(0); r < 0x3000; r++ {
		if unicode.IsControl(r) || unicode.IsSpace(r) || unicode.In(r, unicode.Zl, unicode.Zp) {
			name.WriteRune(r)
		}
	}
	name.WriteString(`"\` + "\xc3\x85 \xe2\x80\xa7 任务")
	line, err := jsonline.Marshal(protojson.MarshalOptions{EmitDefaultValues: true}, &taskv1.Task{TaskId: "a", TaskName: name.String()})
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(string(line), "\n\v\f\r\x1c\x1d\x1e\u0085\u2028\u2029") {
		t.Errorf("the line has a line end: %q", line)
	}
	if !strings.HasPrefix(string(line), `{"taskId":"a","taskName":"`) {
		t.Errorf("the line has optional white space: %q", line)
	}
	var read struct{ TaskName string }
	if err := json.Unmarshal(line, &read); err != nil || read.TaskName != name.String() {
		t.Errorf("read back %q, %v", read.TaskName, err)
	}
	if _, err := jsonline.Marshal(protojson.MarshalOptions{}, &taskv1.Task{TaskId: "\xff"}); err == nil {
		t.Error("text that is not UTF-8 is written")
	}
}
