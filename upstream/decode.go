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
// each other. An absent field is nil.
type answer struct {
	TaskID     jsontext.Value `json:"taskId"`
	TaskName   jsontext.Value `json:"taskName"`
	TaskType   jsontext.Value `json:"taskType"`
	TenantID   jsontext.Value `json:"tenantId"`
	UserID     jsontext.Value `json:"userId"`
	Status     jsontext.Value `json:"status"`
	ResultCode jsontext.Value `json:"resultCode"`
	Code       jsontext.Value `json:"code"`
	ErrorCode  jsontext.Value `json:"error_code"`
}

// task returns the task in an answer to a request for the task id, or the error that the answer means.
func (r *response) task(id string) (Task, error) {
	if r.status != http.StatusOK {
		return Task{}, r.refusal()
	}
	if len(r.body) > MaxBody {
		return Task{}, r.fault(TooLarge, fmt.Sprintf("the body has more than %d bytes", MaxBody))
	}
	if !isJSON(r.header.Get("Content-Type")) && !bytes.HasPrefix(bytes.TrimLeft(r.body, " \t\r\n"), []byte("{")) {
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
			return Task{}, &StatusError{Status: r.status, Code: code, RetryAfter: retryAfter(r.header)}
		}
	}
	return r.believe(a, id)
}

// believe returns the task that a describes, if a is complete and valid.
func (r *response) believe(a answer, id string) (Task, error) {
	code, codeErr := integer(a.Code)
	if codeErr != nil || code != "0" {
		return Task{}, r.fault(Contradictory, "code is missing or not an integer")
	}
	task := Task{}
	var err error
	if task.ID, err = text(a.TaskID); err != nil || task.ID == "" {
		return Task{}, r.fault(Contradictory, "taskId is missing or not a string")
	}
	if task.ID != id {
		return Task{}, r.fault(WrongTask, "taskId is not the one asked for")
	}
	status, err := number(a.Status)
	if err != nil || status == nil {
		return Task{}, r.fault(Contradictory, "status is missing or not a 32-bit integer")
	}
	task.Status = *status
	if task.Type, err = number(a.TaskType); err != nil {
		return Task{}, r.fault(Contradictory, "taskType is not a 32-bit integer")
	}
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
		if *field.to, err = text(field.value); err != nil {
			return Task{}, r.fault(Contradictory, field.name+" is not a string")
		}
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
	if r.status < 300 && refusal.Code == "" {
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
func decode(body []byte) (answer, error) {
	var a answer
	err := json.Unmarshal(body, &a)
	if err != nil {
		if repaired, ok := repairName(body); ok {
			a = answer{}
			err = json.Unmarshal(repaired, &a)
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
	// The form of integers on which Go and JSON agree.
	integerForm = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,30})$`)
	codeForm    = regexp.MustCompile(`^([A-Z.0-9]{1,32}|-[0-9]{1,31})$`)
	errType     = errors.New("wrong type")
)

// code returns the error code, preferably KooDrive's own. It is empty without one, if it means success or if its
// form is invalid.
func (a answer) code() string {
	if code, err := integer(a.Code); err == nil && code != "0" && codeForm.MatchString(code) {
		return code
	}
	if code, err := text(a.ErrorCode); err == nil && codeForm.MatchString(code) {
		return code
	}
	return ""
}

// integer returns an integer, or a string that contains one, as text. Floats would lose digits, and KooDrive's tables
// say string where its examples have a number. Empty if value is absent or null.
func integer(value jsontext.Value) (string, error) {
	s, err := text(value)
	if err != nil || s != "" && !integerForm.MatchString(s) {
		return "", errType
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
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return nil, errType
	}
	n32 := int32(n)
	return &n32, nil
}

// text returns a string, or the digits of an integer; empty if value is absent or null.
func text(value jsontext.Value) (string, error) {
	if value == nil {
		return "", nil
	}
	switch value.Kind() {
	case 'n':
		return "", nil
	case '"':
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return "", errType
		}
		return s, nil
	case '0':
		if s := string(value); integerForm.MatchString(s) {
			return s, nil
		}
		return "", errType
	default:
		return "", errType
	}
}
