package jsonline_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/timestamppb"

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

// Each character alone, since one that needs an escape makes the whole message take another way.
func TestEveryCharacter(t *testing.T) {
	for r := rune(0); r < 0x3000; r++ {
		line, err := jsonline.Marshal(protojson.MarshalOptions{EmitDefaultValues: true}, &taskv1.Task{TaskName: string(r)})
		var read struct{ TaskName string }
		if err != nil || json.Unmarshal(line, &read) != nil || read.TaskName != string(r) {
			t.Errorf("%q: %s, read back as %q, %v", r, line, read.TaskName, err)
		}
	}
}

// Every message of the contract has the form of protojson, empty and with each of its fields.
func TestEveryMessage(t *testing.T) {
	form := protojson.MarshalOptions{EmitDefaultValues: true}
	messages := taskv1.File_koodrive_task_v1_task_proto.Messages()
	for i := range messages.Len() {
		kind, err := protoregistry.GlobalTypes.FindMessageByName(messages.Get(i).FullName())
		if err != nil {
			t.Fatal(err)
		}
		for n := range kind.Descriptor().Fields().Len() + 1 {
			m := kind.New()
			for j := range n {
				if f := m.Descriptor().Fields().Get(j); f.Message() != nil {
					m.Set(f, m.NewField(f)) // Empty, but present.
				}
			}
			text, err := form.Marshal(m.Interface())
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, text); err != nil {
				t.Fatal(err)
			}
			if line, err := jsonline.Marshal(form, m.Interface()); err != nil || string(line) != want.String() {
				t.Errorf("%s: %s, %v, want %s", kind.Descriptor().Name(), line, err, &want)
			}
		}
	}
}

// FuzzMarshal compares lines with the compact form of encoding/json, and takes care that no two of them share memory.
func FuzzMarshal(f *testing.F) {
	f.Add("a", "", int32(0), int64(0), int32(0), false)
	f.Add(` "\\ , : " `, "\\", int32(-1), int64(-1), int32(999_999_999), true)
	f.Add("\\\"", "{\"a\": [1, 2]}", int32(1), int64(1764500000), int32(123_000_000), false)
	f.Add("\x7f", "任务\u2028", int32(2), int64(253402300799), int32(123_000), false)
	f.Add("", "\xff", int32(3), int64(253402300800), int32(1_000_000_000), true)
	f.Fuzz(func(t *testing.T, id, name string, number int32, seconds int64, nanos int32, done bool) {
		form := protojson.MarshalOptions{EmitDefaultValues: done || number%2 == 0}
		task := &taskv1.Task{
			TaskId: id, TaskName: name, Status: taskv1.TaskStatus(number), ResultCode: taskv1.ResultCode(number), Done: done,
			ObserveTime: &timestamppb.Timestamp{Seconds: seconds, Nanos: nanos},
		}
		if done {
			task.KoodriveStatus, task.KoodriveTaskType = &number, new(number+1)
		}
		text, err := form.Marshal(task)
		line, lineErr := jsonline.Marshal(form, task)
		if (err == nil) != (lineErr == nil) {
			t.Fatal(err, lineErr)
		}
		if err != nil {
			return
		}
		copied := string(line)
		if _, err := jsonline.Marshal(form, &taskv1.Task{TaskName: strings.Repeat("x", len(text))}); err != nil || string(line) != copied {
			t.Errorf("the next line changes %q to %q, %v", copied, line, err)
		}
		var want bytes.Buffer
		if err := json.Compact(&want, text); err != nil {
			t.Fatal(err)
		}
		for char, escaped := range map[string]string{"\u0085": `\u0085`, "\u2028": `\u2028`, "\u2029": `\u2029`} {
			copied = strings.ReplaceAll(copied, escaped, char)
		}
		if unescaped := strings.NewReplacer(`\u0085`, "\u0085", `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(want.String()); copied != unescaped {
			t.Errorf("got %q, want %q", copied, unescaped)
		}
	})
}

func finished() *taskv1.Task {
	return &taskv1.Task{
		TaskId: "1534087020903704704", TaskName: "copy-files", TenantId: "tenant-0001", UserId: "user-000042", Status: taskv1.TaskStatus_TASK_STATUS_SUCCESS,
		ObserveTime: &timestamppb.Timestamp{Seconds: 1764500000, Nanos: 123000000}, KoodriveStatus: new(int32(2)), Done: true,
	}
}

// BenchmarkMarshal measures the line of a task.
func BenchmarkMarshal(b *testing.B) {
	task := finished()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jsonline.Marshal(protojson.MarshalOptions{EmitDefaultValues: true}, task); err != nil {
			b.Fatal(err)
		}
	}
}
