package koodrivetest_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// step is a script of one task with one step, which begins on line 3.
func step(keys string) string {
	return "{\"tasks\": [{\"id\": \"1\",\n\"steps\": [\n{" + keys + "}]}]}"
}

// fault is a script with a fault for all requests, which begins on line 2.
func fault(keys string) string { return "{\"fault\":\n{" + keys + "}}" }

func TestBadScripts(t *testing.T) {
	for _, tt := range []struct{ script, want string }{
		// No JSON.
		{"", "line 1: unexpected end of JSON input"},
		{"\n{\n", "line 2: unexpected end of JSON input"},
		{"{\n\"tasks\": [", "line 2: tasks: unexpected end of JSON input"},
		{"{\n\"tasks\": [\n}", "line 3: tasks: invalid character '}' looking for beginning of value"},
		{"{\"skew\": \"1s\",\n}", "line 2: invalid character '}' looking for beginning of object key string"},
		{"{\"skew\": \"1s\"\n\"tasks\": []}", "line 2: invalid character '\"' after object key:value pair"},
		{step("\n\"for\": soon"), "line 4: tasks[0].steps[0].for: invalid character 's' looking for beginning of value"},
		{step("\"name\": \"a\nb\""), "line 3: tasks[0].steps[0].name: invalid character '\\n' in string literal"},
		{fault("\"json\": {\n\"a\": [1,]}"), "line 3: fault.json: invalid character ']' looking for beginning of value"},
		{fault(`"json": ` + strings.Repeat("[", 20_000)), "line 2: fault.json: invalid character '[' exceeded max depth"},
		{"{1: 2}", "line 1: invalid character '1' looking for beginning of object key string"},
		{"{}\n\n{}", "line 3: invalid character '{' after top-level value"},
		{"{}\n]", "line 2: invalid character ']' after top-level value"},
		{"{}\n\x00", "line 2: invalid character '\\x00' after top-level value"},
		{"\ufeff{}", "line 1: invalid character 'ï' looking for beginning of value"},
		{step("\n\"name\": \"\xff\""), "line 4: tasks[0].steps[0].name: is not in UTF-8"},
		{"{\n\"\xff\": 1}", "line 2: is not in UTF-8"},
		{fault("\"json\":\n\"\xff\""), "line 3: fault.json: is not in UTF-8"},

		// Keys.
		{"{\"tasks\": [],\n\"taks\": []}", "line 2: taks: is no key here"},
		{"{\"Tasks\": []}", "line 1: Tasks: is no key here"},
		{"{\"a\\nb\": []}", `line 1: ["a\nb"]: is no key here`},
		{step("\n\n\"until\": \"5s\""), "line 5: tasks[0].steps[0].until: is no key here"},
		{fault("\n\"delay\": \"1s\""), "line 3: fault.delay: is no key here"},
		{"{\"skew\": \"1s\",\n\"skew\": \"1s\"}", "line 2: skew: is there twice"},
		{step("\"for\": \"1s\",\n\"f\\u006fr\": \"1s\""), "line 4: tasks[0].steps[0].for: is there twice"},
		{fault("\"header\": {\"date\": null,\n\"Date\": null}"), "line 3: fault.header.Date: is there twice"},
		{fault("\"body\": \"\",\n\"json\": {}"), "line 3: fault.json: the body is there already"},

		// What is missing, empty or there twice.
		{"{\"tasks\": [\n{\n\"steps\": [{}]}]}", "line 2: tasks[0].id: is missing"},
		{"{\"tasks\": [\n{\"id\": \"1\"}]}", "line 2: tasks[0].steps: is missing"},
		{"{\"tasks\": [{\"steps\": [{}],\n\"id\": \"\"}]}", "line 2: tasks[0].id: is empty"},
		{"{\"tasks\": [{\"id\": \"1\",\n\"steps\": []}]}", "line 2: tasks[0].steps: is empty"},
		{"{\"tasks\": [{\"id\": \"1\", \"steps\": [{}]},\n{\"id\": \"1\", \"steps\": [{}]}]}", `line 2: tasks[1].id: "1" is there twice`},
		{"{\"tokens\": [\n{\"idle\": \"20m\"}]}", "line 2: tokens[0].token: is missing"},
		{"{\"tokens\": [{\"token\": \"a\"}, {\n\"token\": \"a\"}]}", `line 2: tokens[1].token: "a" is there twice`},
		{"{\"apps\": [\n{\"id\": \"a\"}]}", "line 2: apps[0].secret: is missing"},
		{"{\"apps\": [{\"id\": \"a\",\n\"secret\": \"\"}]}", "line 2: apps[0].secret: is empty"},
		{fault(`"taskId": ""`), "line 2: fault.taskId: is empty"},

		// Types.
		{"[]", "line 1: is an array, not an object"},
		{"\n\"tasks\"", "line 2: is a string, not an object"},
		{"{\"tasks\": {}}", "line 1: tasks: is an object, not an array"},
		{"{\"tasks\": [\nnull]}", "line 2: tasks[0]: is null, not an object"},
		{"{\"tasks\": [\n{\"id\": 1}]}", "line 2: tasks[0].id: is a number, not a string"},
		{"{\"tasks\": [\n{\"type\": \"0\"}]}", "line 2: tasks[0].type: is a string, not a number"},
		{"{\"fault\": null}", "line 1: fault: is null, not an object"},
		{"{\"tasks\": [\n{\"type\": 0.5}]}", "line 2: tasks[0].type: 0.5 is no whole number"},
		{step(`"status": true`), "line 3: tasks[0].steps[0].status: is a boolean, not a state's name or number"},
		{step(`"for": 5`), "line 3: tasks[0].steps[0].for: is a number, not a string"},
		{fault(`"hang": "yes"`), "line 2: fault.hang: is a string, not a boolean"},
		{fault("\"header\":\n[]"), "line 3: fault.header: is an array, not an object"},
		{fault(`"header": {"Retry-After": 5}`), "line 2: fault.header.Retry-After: is a number, not a string"},
		{fault("\"header\": {\"A\": [\"1\",\n2]}"), "line 3: fault.header.A[1]: is a number, not a string"},

		// Values.
		{step(`"for": "soon"`), `line 3: tasks[0].steps[0].for: "soon" is no duration`},
		{step(`"for": "5"`), `line 3: tasks[0].steps[0].for: "5" is no duration`},
		{step(`"for": "-5s"`), "line 3: tasks[0].steps[0].for: -5s is negative"},
		{step(`"status": "new"`), `line 3: tasks[0].steps[0].status: "new" is none of NEW, EXECUTING, SUCCESS and FAILED`},
		{step(`"status": 1.5`), "line 3: tasks[0].steps[0].status: 1.5 is no whole number"},
		{step(`"status": 9223372036854775808`), "line 3: tasks[0].steps[0].status: 9223372036854775808 is no whole number"},
		{fault(`"status": 99`), "line 2: fault.status: 99 is not from 200 to 999"},
		{fault(`"status": 5e2`), "line 2: fault.status: 5e2 is no whole number"},
		{fault(`"pad": -1`), "line 2: fault.pad: -1 is not from 0 to 1073741824"},
		{fault(`"pad": 1073741825`), "line 2: fault.pad: 1073741825 is not from 0 to 1073741824"},
		{fault(`"drip": "1 s"`), `line 2: fault.drip: "1 s" is no duration`},
		{fault(`"header": {"Retry After": "5"}`), `line 2: fault.header["Retry After"]: is no name of a header field`},
		{fault(`"header": {"A": "b\r\nC: d"}`), "line 2: fault.header.A: has a control character"},
		{"{\"skew\": \"" + strings.Repeat("x", 100) + "\"}", `line 1: skew: "` + strings.Repeat("x", 40) + `" is no duration`},

		// Of two mistakes the first.
		{"{\"skew\": \"soon\",\n\"skew\"", `line 1: skew: "soon" is no duration`},
	} {
		s, err := koodrivetest.ParseScript([]byte(tt.script))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%.200s\ngot  %v\nwant %s", tt.script, err, tt.want)
		}
		if s != nil {
			t.Errorf("%.200s\nthere is a script beside the error", tt.script)
		}
	}
}

// FuzzParseScript holds that a script is JSON, and that an error is one line which names one of the script's.
func FuzzParseScript(f *testing.F) {
	everything, err := os.ReadFile("testdata/everything.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(everything)
	f.Add([]byte(step(`"for": "soon"`)))
	f.Add([]byte(fault("\"header\": {\"A\": [\"1\",\n]}")))
	line := regexp.MustCompile(`^line ([1-9][0-9]*): .+$`)
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := koodrivetest.ParseScript(data)
		if err == nil {
			if !json.Valid(data) {
				t.Errorf("took %q", data)
			}
			return
		}
		m := line.FindStringSubmatch(err.Error())
		if m == nil {
			t.Fatalf("%q: %q", data, err)
		}
		if n, _ := strconv.Atoi(m[1]); n > 1+strings.Count(string(data), "\n") {
			t.Errorf("%q: %q", data, err)
		}
	})
}
