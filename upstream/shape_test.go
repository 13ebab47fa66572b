package upstream

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestShapesOfBodies(t *testing.T) {
	name := strings.Repeat("x", 32)
	for body, want := range map[string]string{
		`{"code":"OK","taskId":1,"status":null,"ok":true,"no":false,"data":{"geheim":1},"list":["geheim"]}`: "fields: code:string taskId:number status:null ok:boolean no:boolean data:object list:array",
		`{}`:       "fields: none",
		` { } `:    "fields: none",
		`[{}, 1]`:  "type: array",
		`"geheim"`: "type: string",
		`271828`:   "type: number",
		` true `:   "type: boolean",
		`null`:     "type: null",

		// Field names of any kind.
		`{"` + name + `":1,"` + name + `x":1}`:                              "fields: " + name + ":number …:number",
		`{"":1,"0ffee":1,"a b":1,"a\nb":1,"ä":1,"a/b":1,"Bearer geheim":1}`: "fields: …:number …:number …:number …:number …:number …:number …:number",
		"{\"a\xff\":1,\"b\\ud800\":2}":                                      "fields: …:number …:number",
		`{"\u0063ode":1,"_a.b-C9":1}`:                                       "fields: code:number _a.b-C9:number",
		`{"status":1,"status":"2"}`:                                         "fields: status:number status:string",

		// The number of fields.
		`{` + strings.Repeat(`"a":1,`, 19) + `"a":1}`: "fields: " + strings.TrimSpace(strings.Repeat("a:number ", 20)),
		`{` + strings.Repeat(`"a":1,`, 20) + `"a":1}`: "fields: " + strings.Repeat("a:number ", 20) + "…",

		// Bodies that are JSON only at their beginning.
		`{"a":1,"b":"gehei`:  "fields: a:number",
		`{"a":1,"b":`:        "fields: a:number",
		`{"a":1}{"b":1}`:     "fields: a:number",
		`{"a":1,"b":geheim}`: "fields: a:number",
		`{"a":[[[[[[`:        "",
		`{`:                  "",
		`{geheim`:            "",
		`["geheim"`:          "",
		`"geheim" "geheim"`:  "",
		`500 Internal Error`: "",
		`<html>geheim`:       "",
		"\uFEFF{\"a\":1}":    "",
		``:                   "",
	} {
		if got := shape([]byte(body)); got != want {
			t.Errorf("%.60q: %q, want %q", body, got, want)
		}
	}
}

// shapeForm is the form of every shape that may be logged.
var shapeForm = regexp.MustCompile(`^(|type: [a-z]+|fields: none|fields:( ([A-Za-z_][A-Za-z0-9_.-]{0,31}|…):[a-z]+){1,20}( …)?)$`)

// For every answer fault whose body is JSON, the logged error has the body's shape. So has a refusal without a code.
func TestErrorsDescribeTheBody(t *testing.T) {
	good := `{"taskId":"` + id + `","status":1,"code":0,"taskName":"geheim"}`
	for name, row := range map[string]struct {
		status      int
		contentType string
		body, want  string // The end of the error.
	}{
		"not an object":      {200, "application/json", `["geheim"]`, "; type: array"},
		"of another type":    {200, "text/plain", `["geheim"]`, "; type: array"},
		"a name twice":       {200, "application/json", `{"status":1,"status":2}`, "; fields: status:number status:number"},
		"trailing bytes":     {200, "application/json", good + "x", "; fields: taskId:string status:number code:number taskName:string"},
		"too large":          {200, "application/json", good + strings.Repeat(" ", MaxBody), "; fields: taskId:string status:number code:number taskName:string"},
		"code":               {200, "application/json", `{"code":"geheim"}`, "code is missing or not an integer; fields: code:string"},
		"taskId":             {200, "application/json", `{"code":0,"taskId":["geheim"]}`, "; fields: code:number taskId:array"},
		"another task":       {200, "application/json", `{"code":0,"taskId":"1395497048157130881"}`, "; fields: code:number taskId:string"},
		"status":             {200, "application/json", `{"code":0,"taskId":"` + id + `","state":1}`, "; fields: code:number taskId:string state:number"},
		"taskType":           {200, "application/json", `{"code":0,"taskId":"` + id + `","status":1,"taskType":"geheim"}`, " status:number taskType:string"},
		"taskName":           {200, "application/json", `{"code":0,"taskId":"` + id + `","status":1,"taskName":{}}`, " status:number taskName:object"},
		"another envelope":   {400, "application/json", `{"errorCode":"geheim","errorMsg":"geheim"}`, "400 without a code; fields: errorCode:string errorMsg:string"},
		"part":               {206, "application/json", good, "; fields: taskId:string status:number code:number taskName:string"},
		"page":               {200, "text/html", `<html>geheim`, "malformed: it is not JSON"},
		"refusal, page":      {503, "text/html", `<html>geheim`, "503 without a code"},
		"refusal, of a kind": {400, "application/json", `{"code":13000309,"geheim":1}`, "400 with code 13000309"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := answered(row.status, row.contentType, row.body).task(id)
			if err == nil || !strings.HasSuffix(err.Error(), row.want) || strings.Contains(err.Error(), "geheim") {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

// shapeOf returns the shape in an error.
func shapeOf(err error) string {
	var refused *StatusError
	var fault *AnswerError
	switch {
	case errors.As(err, &refused):
		return refused.Shape
	case errors.As(err, &fault):
		return fault.Shape
	}
	return ""
}
