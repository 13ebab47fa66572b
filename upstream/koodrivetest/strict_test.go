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
	for _, tt := range []struct{ script, want string }{ // Where the text is the JSON library's, its beginning.
		// Not JSON.
		{"", "line 1: "},
		{"\n{\n", "line 3: "},
		{"{\n\"tasks\": [\n}", "line 3: /tasks/0: "},
		{step("\n\"for\": soon"), "line 4: /tasks/0/steps/0/for: "},
		{step("\"name\": \"a\nb\""), "line 3: /tasks/0/steps/0/name: "},
		{fault(`"json": ` + strings.Repeat("[", 20_000)), "line 2: /fault/json/0/0/"},
		{"{}\n\n{}", "line 3: "},
		{"{}\n\x00", "line 2: "},
		{step("\n\"name\": \"\xff\""), "line 4: /tasks/0/steps/0/name: invalid UTF-8"},
		{"{\n\"\xff\": 1}", "line 2: invalid UTF-8"},
		{fault("\"json\":\n\"\xff\""), "line 3: /fault/json: invalid UTF-8"},

		// Keys.
		{"{\"tasks\": [],\n\"taks\": []}", "line 2: /taks: unknown "},
		{"{\"Tasks\": []}", "line 1: /Tasks: unknown "},
		{"{\"a\\nb\": []}", `line 1: /a\nb: unknown `},
		{step("\n\n\"until\": \"5s\""), "line 5: /tasks/0/steps/0/until: unknown "},
		{fault("\n\"delay\": \"1s\""), "line 3: /fault/delay: unknown "},
		{step("\"for\": \"1s\",\n\"f\\u006fr\": \"1s\""), "line 4: /tasks/0/steps/0/for: duplicate "},
		{fault("\"header\": {\"date\": null,\n\"Date\": null}"), "line 3: /fault/header/date: differs only in case from another key"},
		{fault("\"body\": \"\",\n\"json\": {}"), "line 3: /fault/json: cannot be combined with body"},

		// Missing, empty and duplicate values, which are noticed at the object's end.
		{"{\"tasks\": [\n{\n\"steps\": [{}]}]}", "line 3: /tasks/0/id: is missing"},
		{"{\"tasks\": [\n{\"id\": \"1\"}]}", "line 2: /tasks/0/steps: is missing"},
		{"{\"tasks\": [{\"id\":\n\"\", \"steps\": [{}]}]}", "line 2: /tasks/0/id: must not be empty"},
		{"{\"tasks\": [{\"id\": \"1\",\n\"steps\": []}]}", "line 2: /tasks/0/steps: must have at least one step"},
		{"{\"tasks\": [{\"id\": \"1\", \"steps\": [{}]},\n{\"id\": \"1\", \"steps\": [{}]}]}", `line 2: /tasks/1/id: "1" is used twice`},
		{"{\"tokens\": [\n{\"idle\": \"20m\"}]}", "line 2: /tokens/0/token: is missing"},
		{"{\"tokens\": [{\"token\": \"\"}]}", "line 1: /tokens/0/token: must not be empty"},
		{"{\"tokens\": [{\"token\": \"a\"}, {\n\"token\": \"a\"}]}", `line 2: /tokens/1/token: "a" is used twice`},
		{"{\"apps\": [\n{\"id\": \"a\"}]}", "line 2: /apps/0/secret: is missing"},
		{"{\"apps\": [{\"id\": \"a\",\n\"secret\": \"\"}]}", "line 2: /apps/0/secret: must not be empty"},
		{fault(`"taskId": ""`), "line 2: /fault/taskId: must not be empty"},

		// Types.
		{"[]", "line 1: must be an object"},
		{"\n\"tasks\"", "line 2: must be an object"},
		{"{\"tasks\": {}}", "line 1: /tasks: must be an array"},
		{"{\"tasks\": [\nnull]}", "line 2: /tasks/0: must be an object"},
		{"{\"tasks\": [\n{\"id\": 1}]}", "line 2: /tasks/0/id: must be a string"},
		{"{\"tasks\": [\n{\"type\": \"0\"}]}", "line 2: /tasks/0/type: must be a 64-bit integer"},
		{"{\"tasks\": [\n{\"type\": 0.5}]}", "line 2: /tasks/0/type: must be a 64-bit integer"},
		{"{\"fault\": null}", "line 1: /fault: must be an object"},
		{step(`"for": 5`), "line 3: /tasks/0/steps/0/for: must be a string"},
		{step(`"for": null`), "line 3: /tasks/0/steps/0/for: must be a string"},
		{"{\"skew\": null}", "line 1: /skew: must be a string"},
		{fault(`"hang": "yes"`), "line 2: /fault/hang: must be true or false"},
		{fault("\"header\":\n[]"), "line 3: /fault/header: must be an object"},
		{fault(`"header": {"Retry-After": 5}`), "line 2: /fault/header/Retry-After: must be a string"},
		{fault("\"header\": {\"A\": [\"1\",\n2]}"), "line 3: /fault/header/A/1: must be a string"},
		{fault(`"header": {"A": [null]}`), "line 2: /fault/header/A/0: must be a string"},

		// Values.
		{step(`"for": "soon"`), `line 3: /tasks/0/steps/0/for: "soon" is not a duration such as "1.5s"`},
		{step(`"for": "5"`), `line 3: /tasks/0/steps/0/for: "5" is not a duration such as "1.5s"`},
		{step(`"for": "-5s"`), "line 3: /tasks/0/steps/0/for: must not be negative"},
		{step(`"status": true`), "line 3: /tasks/0/steps/0/status: must be NEW, EXECUTING, SUCCESS, FAILED or a 64-bit integer"},
		{step(`"status": {}`), "line 3: /tasks/0/steps/0/status: must be NEW, EXECUTING, SUCCESS, FAILED or a 64-bit integer"},
		{step(`"status": "1"`), "line 3: /tasks/0/steps/0/status: must be NEW, EXECUTING, SUCCESS, FAILED or a 64-bit integer"},
		{step(`"status": 1.5`), "line 3: /tasks/0/steps/0/status: must be NEW, EXECUTING, SUCCESS, FAILED or a 64-bit integer"},
		{step(`"status": 9223372036854775808`), "line 3: /tasks/0/steps/0/status: must be NEW, EXECUTING, SUCCESS, FAILED or a 64-bit integer"},
		{fault(`"status": 0`), "line 2: /fault/status: must be from 200 to 999"},
		{fault(`"status": 1000`), "line 2: /fault/status: must be from 200 to 999"},
		{fault(`"status": 5e2`), "line 2: /fault/status: must be a 64-bit integer"},
		{fault(`"pad": -1`), "line 2: /fault/pad: must be from 0 to 1073741824"},
		{fault(`"pad": 1073741825`), "line 2: /fault/pad: must be from 0 to 1073741824"},
		{fault(`"header": {"Retry After": "5"}`), "line 2: /fault/header/Retry After: is not the name of a header field"},
		{fault(`"header": {"A": "b\r\nC: d"}`), "line 2: /fault/header/A: must not have a control character"},
		{"{\"skew\": \"" + strings.Repeat("x", 100) + "\"}", `line 1: /skew: "` + strings.Repeat("x", 40) + `" is not a duration such as "1.5s"`},

		// Of two mistakes, the first is reported.
		{"{\"skew\": \"soon\",\n\"skew\"", `line 1: /skew: "soon" is not a duration such as "1.5s"`},
	} {
		s, err := koodrivetest.ParseScript([]byte(tt.script))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%.200s\ngot  %v\nwant %s", tt.script, err, tt.want)
		}
		if s != nil {
			t.Errorf("%.200s\nthere is a script beside the error", tt.script)
		}
	}
}

// FuzzParseScript checks that a script is valid JSON, and that an error names one line of the script.
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
