package upstream

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const id = "1534087020903704704"

// answered is a response as an attempt reads it.
func answered(status int, contentType, body string) *response {
	if len(body) > MaxBody+1 {
		body = body[:MaxBody+1]
	}
	return &response{head: head{status: status, header: http.Header{"Content-Type": {contentType}}}, body: []byte(body), dialect: Documented()}
}

func ptr(n int32) *int32 { return &n }

func TestValidAnswers(t *testing.T) {
	plain := Task{ID: id, Status: StatusExecuting}
	for name, row := range map[string]struct {
		body string
		want Task
	}{
		"least":                {`{"taskId":"` + id + `","status":1,"code":0}`, plain},
		"code as text":         {`{"taskId":"` + id + `","status":1,"code":"0"}`, plain},
		"numbers as text":      {`{"taskId":"` + id + `","status":"1","taskType":"0","code":"0"}`, Task{ID: id, Type: ptr(0), Status: 1}},
		"id as a number":       {`{"taskId":` + id + `,"status":1,"code":0}`, plain},
		"unknown fields":       {`{"taskId":"` + id + `","status":1,"code":0,"new":{"a":[1,2]}}`, plain},
		"nulls":                {`{"taskId":"` + id + `","status":1,"code":0,"taskName":null,"taskType":null,"resultCode":null}`, plain},
		"unlisted status":      {`{"taskId":"` + id + `","status":77,"code":0}`, Task{ID: id, Status: 77}},
		"negative status":      {`{"taskId":"` + id + `","status":-1,"code":0}`, Task{ID: id, Status: -1}},
		"result as a number":   {`{"taskId":"` + id + `","status":3,"resultCode":18000205,"code":0}`, Task{ID: id, Status: 3, ResultCode: "18000205"}},
		"spaces":               {" \n{ \"taskId\" : \"" + id + "\" , \"status\" : 1 , \"code\" : 0 }\n ", plain},
		"name with bad byte":   {"{\"taskId\":\"" + id + "\",\"taskName\":\"a\xffb\",\"status\":1,\"code\":0}", Task{ID: id, Name: "a\uFFFDb", Status: 1}},
		"name with surrogate":  {`{"taskName":"a\ud800b","taskId":"` + id + `","status":1,"code":0}`, Task{ID: id, Name: "a\uFFFDb", Status: 1}},
		"escapes":              {`{"task\u0049d":"\u0031` + id[1:] + `","st\u0061tus":"\u0031","code":"\u0030","userId":"\"\u00e9"}`, Task{ID: id, UserID: `"é`, Status: 1}},
		"name with line break": {`{"taskName":"a\n\nevent: end","taskId":"` + id + `","status":1,"code":0}`, Task{ID: id, Name: "a\n\nevent: end", Status: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := answered(200, "application/json;charset=UTF-8", row.body).task(id)
			if err != nil {
				t.Fatal(err)
			}
			row.want.SentType, row.want.SentStatus = row.want.Type, row.want.Status
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// An object is decoded whatever its Content-Type says.
func TestContentTypes(t *testing.T) {
	for _, contentType := range []string{"", "text/plain", "text/html", "application/json", "application/problem+json", "text/json; charset=x", ";;"} {
		if _, err := answered(200, contentType, " {\"taskId\":\""+id+"\",\"status\":1,\"code\":0}").task(id); err != nil {
			t.Errorf("%q: %v", contentType, err)
		}
	}
}

func TestIDsAreComparedToTheLetter(t *testing.T) {
	var answer *AnswerError
	if _, err := answered(200, "", `{"taskId":"ABC","status":1,"code":0}`).task("abc"); !errors.As(err, &answer) || answer.Fault != WrongTask {
		t.Errorf("got %v", err)
	}
}

func TestInvalidAnswers(t *testing.T) {
	good := `{"taskId":"` + id + `","status":1,"code":0}`
	for name, row := range map[string]struct {
		status      int
		contentType string
		body        string
		want        error
	}{
		"empty object":          {200, "application/json", `{}`, &AnswerError{Fault: Contradictory}},
		"null":                  {200, "application/json", `null`, &AnswerError{Fault: Contradictory}},
		"array":                 {200, "application/json", `[]`, &AnswerError{Fault: Contradictory}},
		"array cut off":         {200, "application/json", `[1`, &AnswerError{Fault: Contradictory}},
		"string":                {200, "application/json", `"x"`, &AnswerError{Fault: Contradictory}},
		"status null":           {200, "application/json", `{"status":null,"taskId":"` + id + `","code":0}`, &AnswerError{Fault: Contradictory}},
		"status absent":         {200, "application/json", `{"taskId":"` + id + `","code":0}`, &AnswerError{Fault: Contradictory}},
		"status empty":          {200, "application/json", `{"taskId":"` + id + `","status":"","code":0}`, &AnswerError{Fault: Contradictory}},
		"status of other case":  {200, "application/json", `{"taskId":"` + id + `","Status":1,"code":0}`, &AnswerError{Fault: Contradictory}},
		"status twice":          {200, "application/json", `{"taskId":"` + id + `","status":1,"status":2,"code":0}`, &AnswerError{Fault: Contradictory}},
		"status too large":      {200, "application/json", `{"taskId":"` + id + `","status":2147483648,"code":0}`, &AnswerError{Fault: Contradictory}},
		"status fraction":       {200, "application/json", `{"taskId":"` + id + `","status":1.0,"code":0}`, &AnswerError{Fault: Contradictory}},
		"status exponent":       {200, "application/json", `{"taskId":"` + id + `","status":1e0,"code":0}`, &AnswerError{Fault: Contradictory}},
		"status minus zero":     {200, "application/json", `{"taskId":"` + id + `","status":-0,"code":0}`, &AnswerError{Fault: Contradictory}},
		"status bool":           {200, "application/json", `{"taskId":"` + id + `","status":true,"code":0}`, &AnswerError{Fault: Contradictory}},
		"type too large":        {200, "application/json", `{"taskId":"` + id + `","status":1,"taskType":1e400,"code":0}`, &AnswerError{Fault: Contradictory}},
		"name a number":         {200, "application/json", `{"taskId":"` + id + `","status":1,"taskName":{},"code":0}`, &AnswerError{Fault: Contradictory}},
		"id absent":             {200, "application/json", `{"status":1,"code":0}`, &AnswerError{Fault: Contradictory}},
		"id rounded":            {200, "application/json", `{"taskId":1.534087020903704704e18,"status":1,"code":0}`, &AnswerError{Fault: Contradictory}},
		"id of another task":    {200, "application/json", `{"taskId":"1534087020903704705","status":1,"code":0}`, &AnswerError{Fault: WrongTask}},
		"code absent":           {200, "application/json", `{"taskId":"` + id + `","status":1}`, &AnswerError{Fault: Contradictory}},
		"code null":             {200, "application/json", `{"taskId":"` + id + `","status":1,"code":null}`, &AnswerError{Fault: Contradictory}},
		"code of two zeros":     {200, "application/json", `{"taskId":"` + id + `","status":1,"code":"00"}`, &AnswerError{Fault: Contradictory}},
		"code fraction":         {200, "application/json", `{"taskId":"` + id + `","status":1,"code":0.0}`, &AnswerError{Fault: Contradictory}},
		"code word":             {200, "application/json", `{"taskId":"` + id + `","status":1,"code":"OK"}`, &AnswerError{Fault: Contradictory}},
		"code of an error":      {200, "application/json", `{"code":"13000102"}`, &StatusError{Status: 200, Code: "13000102"}},
		"error despite a task":  {200, "application/json", `{"taskId":"` + id + `","status":1,"code":13000201}`, &StatusError{Status: 200, Code: "13000201"}},
		"gateway's envelope":    {200, "application/json", `{"error_code":"APIGW.0301","error_msg":"x","request_id":"y"}`, &StatusError{Status: 200, Code: "APIGW.0301"}},
		"both envelopes":        {200, "application/json", `{"taskId":"` + id + `","status":1,"code":0,"error_code":"APIG.0308"}`, &StatusError{Status: 200, Code: "APIG.0308"}},
		"code of 20 digits":     {200, "application/json", `{"code":12345678901234567890}`, &StatusError{Status: 200, Code: "12345678901234567890"}},
		"trailing bytes":        {200, "application/json", good + "x", &AnswerError{Fault: Malformed}},
		"two objects":           {200, "application/json", good + good, &AnswerError{Fault: Malformed}},
		"cut off":               {200, "application/json", good[:20], &AnswerError{Fault: Malformed}},
		"string cut off":        {200, "application/json", `"x`, &AnswerError{Fault: Malformed}},
		"escaped name twice":    {200, "application/json", `{"taskId":"` + id + `","st\u0061tus":1,"status":1,"code":0}`, &AnswerError{Fault: Contradictory}},
		"empty":                 {200, "application/json", ``, &AnswerError{Fault: Malformed}},
		"byte order mark":       {200, "application/json", "\uFEFF" + good, &AnswerError{Fault: Malformed}},
		"NaN":                   {200, "application/json", `{"taskId":"` + id + `","status":NaN,"code":0}`, &AnswerError{Fault: Malformed}},
		"bad byte in the id":    {200, "application/json", "{\"taskId\":\"\xff\",\"status\":1,\"code\":0}", &AnswerError{Fault: Malformed}},
		"bad bytes in two":      {200, "application/json", "{\"taskName\":\"\xff\",\"userId\":\"\xff\",\"status\":1,\"code\":0}", &AnswerError{Fault: Malformed}},
		"deep nesting":          {200, "application/json", `{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, &AnswerError{Fault: Malformed}},
		"page":                  {200, "text/html", `<html>log in</html>`, &AnswerError{Fault: Malformed}},
		"too large":             {200, "application/json", good + strings.Repeat(" ", MaxBody), &AnswerError{Fault: TooLarge}},
		"no content":            {204, "", ``, &AnswerError{Fault: Contradictory}},
		"part":                  {206, "application/json", good, &AnswerError{Fault: Contradictory}},
		"not found":             {400, "application/json", `{"code":13000309,"msg":"Resource not found."}`, &StatusError{Status: 400, Code: "13000309"}},
		"code as text with 400": {400, "application/json", `{"code":"13000410","msg":"x"}`, &StatusError{Status: 400, Code: "13000410"}},
		"400 without a code":    {400, "text/plain", `no`, &StatusError{Status: 400}},
		"400 with code 0":       {400, "application/json", `{"code":0}`, &StatusError{Status: 400, Shape: "fields: code:number"}},
		"throttled":             {429, "application/json", `{"error_msg":"m","error_code":"APIG.0308","request_id":"r"}`, &StatusError{Status: 429, Code: "APIG.0308"}},
		"code like a text":      {401, "application/json", `{"error_code":"Bad token <b>"}`, &StatusError{Status: 401, Shape: "fields: error_code:string"}},
		"201 with a code":       {201, "application/json", `{"code":13000309}`, &StatusError{Status: 201, Code: "13000309"}},
		"a negative code":       {200, "application/json", `{"code":-1}`, &StatusError{Status: 200, Code: "-1"}},
		"400, a negative code":  {400, "application/json", `{"code":-1}`, &StatusError{Status: 400, Code: "-1"}},
		"redirect":              {302, "", ``, &StatusError{Status: 302}},
		"a task with 500":       {500, "application/json", good, &StatusError{Status: 500, Shape: "fields: taskId:string status:number code:number"}},
	} {
		t.Run(name, func(t *testing.T) {
			task, err := answered(row.status, row.contentType, row.body).task(id)
			if err == nil || task != (Task{}) {
				t.Fatalf("got a task, %+v, and error %v", task, err)
			}
			var status *StatusError
			var answer *AnswerError
			switch {
			case errors.As(err, &status):
				if diff := cmp.Diff(row.want, error(status)); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
			case errors.As(err, &answer):
				var want *AnswerError
				if !errors.As(row.want, &want) || answer.Fault != want.Fault || answer.Status != row.status {
					t.Errorf("got %v, want %v", answer, row.want)
				}
			default:
				t.Errorf("untyped error %v", err)
			}
		})
	}
}
