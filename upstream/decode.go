package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Task is a task as KooDrive described it.
type Task struct {
	ID         string
	Name       string // May be empty, as may TenantID, UserID and ResultCode.
	Type       *int32 // Nil if KooDrive sent none.
	TenantID   string
	UserID     string
	Status     int32 // One of the constants below, or an undocumented number.
	ResultCode string

	// Type and Status as KooDrive sent them. They differ if the dialect maps undocumented numbers.
	SentType   *int32
	SentStatus int32
}

// Documented values of [Task.Status].
const (
	StatusNew       int32 = 0
	StatusExecuting int32 = 1
	StatusSuccess   int32 = 2
	StatusFailed    int32 = 3
)

// Documented values of [Task.Type]. TypeBatchImport is documented for another call.
const (
	TypeTransferAndDeletion int32 = 0
	TypeBatchImport         int32 = 1
)

// answer has the fields of KooDrive's answers and those of its API gateway, undecoded: their required types depend on
// each other. They are parts of the decoded text. An absent field is nil.
type answer struct {
	text []byte // The whole answer. Set it before the decoder runs.

	TaskID, TaskName, TaskType, TenantID, UserID, Status, ResultCode, Code, ErrorCode jsontext.Value
}

// field returns the field of a name, or nil if the answer has no use for it.
func (a *answer) field(name []byte) *jsontext.Value {
	switch string(name) {
	case "taskId":
		return &a.TaskID
	case "taskName":
		return &a.TaskName
	case "taskType":
		return &a.TaskType
	case "tenantId":
		return &a.TenantID
	case "userId":
		return &a.UserID
	case "status":
		return &a.Status
	case "resultCode":
		return &a.ResultCode
	case "code":
		return &a.Code
	case "error_code":
		return &a.ErrorCode
	}
	return nil
}

// UnmarshalJSONFrom finds the fields in one pass. The decoder checks the syntax, the names and the encoding of them all.
func (a *answer) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	switch open, err := dec.ReadToken(); {
	case err != nil:
		return err
	case open.Kind() == 'n':
		return nil
	case open.Kind() != '{':
		return errType
	}
	for dec.PeekKind() == '"' {
		quoted, err := dec.ReadValue()
		if err != nil {
			return err
		}
		name, err := content(quoted)
		if err != nil {
			return err
		}
		field := a.field(name)
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if field != nil { // The value itself is valid only until the decoder goes on.
			end := dec.InputOffset()
			*field = a.text[end-int64(len(value)) : end]
		}
	}
	_, err := dec.ReadToken()
	return err
}

// task returns the task in an answer to a request for the task id, or the error that the answer means.
func (r *response) task(id string) (Task, error) {
	if r.status != http.StatusOK {
		return Task{}, r.refusal()
	}
	if len(r.body) > MaxBody {
		return Task{}, r.fault(TooLarge, fmt.Sprintf("the body has more than %d bytes", MaxBody))
	}
	if !bytes.HasPrefix(bytes.TrimLeft(r.body, " \t\r\n"), []byte("{")) && !isJSON(r.header.Get("Content-Type")) {
		return Task{}, r.fault(Malformed, "it is not JSON")
	}
	a, err := decode(r.body)
	if err != nil {
		var semantic *json.SemanticError
		if errors.Is(err, jsontext.ErrDuplicateName) || errors.As(err, &semantic) {
			return Task{}, r.fault(Contradictory, "a name occurs twice, or it is not an object")
		}
		return Task{}, r.fault(Malformed, "it cannot be parsed")
	}
	if a.ErrorCode != nil || a.Code != nil && !bytes.Equal(a.Code, []byte("0")) && !bytes.Equal(a.Code, []byte(`"0"`)) {
		if code := a.code(); code != "" {
			refusal := &StatusError{Status: r.status, Code: code, RetryAfter: retryAfter(r.header)}
			r.dialect.explain(refusal)
			return Task{}, refusal
		}
	}
	return r.believe(a, id)
}

// believe returns the task that a describes, if a is complete and valid.
func (r *response) believe(a *answer, id string) (Task, error) {
	code, err := integer(a.Code)
	if err != nil || string(code) != "0" {
		return Task{}, r.fault(Contradictory, "code is missing or not an integer")
	}
	described, err := text(a.TaskID)
	if err != nil || len(described) == 0 {
		return Task{}, r.fault(Contradictory, "taskId is missing or not a string")
	}
	if string(described) != id {
		return Task{}, r.fault(WrongTask, "taskId is not the one asked for")
	}
	task := Task{ID: id}
	status, err := number(a.Status)
	if err != nil || status == nil {
		return Task{}, r.fault(Contradictory, "status is missing or not a 32-bit integer")
	}
	task.SentStatus, task.Status = *status, r.dialect.status(*status)
	if task.SentType, err = number(a.TaskType); err != nil {
		return Task{}, r.fault(Contradictory, "taskType is not a 32-bit integer")
	}
	task.Type = r.dialect.taskType(task.SentType)
	for _, field := range []struct {
		name  string
		value jsontext.Value
		to    *string
	}{
		{"taskName", a.TaskName, &task.Name},
		{"tenantId", a.TenantID, &task.TenantID},
		{"userId", a.UserID, &task.UserID},
		{"resultCode", a.ResultCode, &task.ResultCode},
	} {
		value, err := text(field.value)
		if err != nil {
			return Task{}, r.fault(Contradictory, field.name+" is not a string")
		}
		*field.to = string(value)
	}
	return task, nil
}

func (r *response) fault(f AnswerFault, detail string) error {
	return &AnswerError{Fault: f, Status: r.status, Detail: detail, Shape: shape(r.body)}
}

// refusal returns the error of a status other than 200, with the code in the body if there is one.
func (r *response) refusal() error {
	refusal := &StatusError{Status: r.status, RetryAfter: retryAfter(r.header)}
	if a, err := decode(r.body); err == nil && len(r.body) <= MaxBody {
		refusal.Code = a.code()
	}
	if refusal.Code == "" {
		refusal.Shape = shape(r.body)
	}
	r.dialect.explain(refusal)
	if r.status < 300 && refusal.Code == "" && refusal.Meaning == Unmapped {
		return r.fault(Contradictory, "the status is not 200")
	}
	return refusal
}

// isJSON reports whether contentType is application/json, text/json or ends in +json.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

// decode parses body strictly: names are unique and case-sensitive, all of it is UTF-8 and nothing follows. Only in
// taskName, invalid UTF-8 is replaced: a bad character in it must not hide the task.
func decode(body []byte) (*answer, error) {
	a := &answer{text: body}
	err := json.Unmarshal(body, a)
	if err != nil {
		if repaired, ok := repairName(body); ok {
			a = &answer{text: repaired}
			err = json.Unmarshal(repaired, a)
		}
	}
	return a, err
}

// repairName returns body with invalid UTF-8 in its taskName replaced. It reports false if there is no taskName.
func repairName(body []byte) ([]byte, bool) {
	dec := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowInvalidUTF8(true))
	if open, err := dec.ReadToken(); err != nil || open.Kind() != '{' {
		return nil, false
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, false
		}
		isName := name.String() == "taskName"
		value, err := dec.ReadValue()
		if err != nil {
			return nil, false
		}
		if !isName || value.Kind() != '"' {
			continue
		}
		var content string
		if json.Unmarshal(value, &content, jsontext.AllowInvalidUTF8(true)) != nil {
			return nil, false
		}
		quoted, err := jsontext.AppendQuote(nil, content)
		if err != nil {
			return nil, false
		}
		end := int(dec.InputOffset())
		return bytes.Join([][]byte{body[:end-len(value)], body[end:]}, quoted), true
	}
	return nil, false
}

var (
	codeForm = regexp.MustCompile(`^([A-Z.0-9]{1,32}|-[0-9]{1,31})$`)
	errType  = errors.New("wrong type")
)

// maxDigits is the number of digits of the longest integer that is accepted.
const maxDigits = 31

// isInteger reports whether s has the form of integers on which Go and JSON agree.
func isInteger(s []byte) bool {
	digits, negative := bytes.CutPrefix(s, []byte("-"))
	if len(digits) == 0 || len(digits) > maxDigits || digits[0] == '0' && (negative || len(digits) > 1) {
		return false
	}
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return false
		}
	}
	return true
}

// code returns the error code, preferably KooDrive's own. It is empty without one, if it means success or if its
// form is invalid.
func (a *answer) code() string {
	if code, err := integer(a.Code); err == nil && string(code) != "0" && codeForm.Match(code) {
		return string(code)
	}
	if code, err := text(a.ErrorCode); err == nil && codeForm.Match(code) {
		return string(code)
	}
	return ""
}

// integer returns an integer, or a string that contains one, as text. Floats would lose digits, and KooDrive's tables
// say string where its examples have a number. Empty if value is absent or null.
func integer(value jsontext.Value) ([]byte, error) {
	s, err := text(value)
	if err != nil || len(s) > 0 && !isInteger(s) {
		return nil, errType
	}
	return s, nil
}

// number returns a 32-bit integer; nil if value is absent or null.
func number(value jsontext.Value) (*int32, error) {
	if value == nil || value.Kind() == 'n' {
		return nil, nil
	}
	s, err := integer(value)
	if err != nil {
		return nil, err
	}
	n, err := strconv.ParseInt(string(s), 10, 32)
	if err != nil {
		return nil, errType
	}
	n32 := int32(n)
	return &n32, nil
}

// text returns a string, or the digits of an integer; empty if value is absent or null. It may be a part of value.
func text(value jsontext.Value) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	switch value.Kind() {
	case 'n':
		return nil, nil
	case '"':
		return content(value)
	case '0':
		if isInteger(value) {
			return value, nil
		}
		return nil, errType
	default:
		return nil, errType
	}
}

// content returns the content of a JSON string. It is a part of quoted, unless it has escapes.
func content(quoted jsontext.Value) ([]byte, error) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], nil
	}
	return jsontext.AppendUnquote(nil, quoted)
}
