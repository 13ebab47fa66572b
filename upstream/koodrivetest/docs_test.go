package koodrivetest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

const docs = "../../docs/"

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(docs + "simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fences returns the page's code blocks in a language.
func fences(t *testing.T, language string) (all []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(page(t), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("no %s on the page", language)
	}
	return all
}

// try sends a request and reads as much of the answer as arrives.
func (c client) try(r *http.Request) (*http.Response, string, error) {
	resp, err := c.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// sight is a task as a client sees it in one answer.
func (c client) sight(id string) string {
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	defer cancel()
	resp, body, err := c.try(c.request("GET", taskPath+id, "").WithContext(ctx))
	if len(body) > 1<<20 {
		return "large"
	}
	status := regexp.MustCompile(`^\{"taskId":"` + id + `".*"status":(\d).*\} *$`).FindStringSubmatch(body)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "nothing"
	case err != nil:
		return "cut"
	case resp.StatusCode != 200:
		return strconv.Itoa(resp.StatusCode)
	case status == nil:
		return "another task"
	}
	return []string{"NEW", "EXECUTING", "SUCCESS", "FAILED"}[status[1][0]-'0']
}

// TestScriptsOfTheDocs requests each task of the page's scripts once a second, as long as answers change.
func TestScriptsOfTheDocs(t *testing.T) {
	want := map[string]string{
		"lifecycle 1534087020903705001": "NEW, EXECUTING, SUCCESS",
		"lifecycle 1534087020903705002": "NEW, EXECUTING, FAILED",
		"outage 1534087020903705101":    "EXECUTING, 502, cut, 429, EXECUTING, SUCCESS",
		"hostile 1534087020903705201":   "EXECUTING, another task, SUCCESS",
		"hostile 1534087020903705202":   "EXECUTING, cut, SUCCESS",
		"hostile 1534087020903705203":   "EXECUTING, large, SUCCESS",
		"hostile 1534087020903705204":   "EXECUTING, 302, SUCCESS",
		"hostile 1534087020903705205":   "EXECUTING, NEW, SUCCESS",
		"hostile 1534087020903705206":   "EXECUTING, nothing, SUCCESS",
	}
	files, err := filepath.Glob(docs + "simulate/*.json")
	if err != nil || len(files) != 3 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	served := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if !strings.Contains(page(t), "[`"+name+".json`](simulate/"+name+".json)") {
			t.Errorf("the page does not name %s", file)
		}
		s := script(t, file)
		for _, task := range s.Tasks {
			served++
			synctest.Test(t, func(t *testing.T) {
				k := koodrivetest.New()
				c := serve(t, k)
				k.Apply(s)
				var seen []string
				for range 30 {
					seen = append(seen, c.sight(task.ID))
					time.Sleep(time.Second)
				}
				if got := strings.Join(slices.Compact(seen), ", "); got != want[name+" "+task.ID] {
					t.Errorf("%s %s: %s, want %s", name, task.ID, got, want[name+" "+task.ID])
				}
			})
		}
	}
	if served != len(want) {
		t.Errorf("%d tasks, want %d", served, len(want))
	}
}

func TestScriptOnThePage(t *testing.T) {
	for _, text := range fences(t, "json") {
		if _, err := koodrivetest.ParseScript([]byte(text)); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
}

// TestCurlOnThePage runs the page's curl commands.
func TestCurlOnThePage(t *testing.T) {
	k := koodrivetest.New()
	k.Apply(script(t, docs+"simulate/lifecycle.json"))
	control := k.Control()
	found := 0
	for _, block := range fences(t, "sh") {
		for _, m := range regexp.MustCompile(`(?m)^curl (.*)http://127\.0\.0\.1:18080(/\S+)`).FindAllStringSubmatch(block, -1) {
			found++
			options, path, method, body := m[1], m[2], "GET", ""
			if d := regexp.MustCompile(`-d '(.*?)'`).FindStringSubmatch(options); d != nil {
				method, body = "POST", d[1]
			}
			if d := regexp.MustCompile(`--data-binary @docs/(\S+)`).FindStringSubmatch(options); d != nil {
				data, err := os.ReadFile(docs + d[1])
				if err != nil {
					t.Error(err)
				}
				body = string(data)
			}
			if x := regexp.MustCompile(`-X (\S+)`).FindStringSubmatch(options); x != nil {
				method = x[1]
			}
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			for _, h := range regexp.MustCompile(`-H '(.*?): (.*?)'`).FindAllStringSubmatch(options, -1) {
				r.Header.Set(h[1], h[2])
			}
			w := httptest.NewRecorder()
			if strings.HasPrefix(path, "/simulate/") {
				control.ServeHTTP(w, r)
			} else {
				k.ServeHTTP(w, r)
			}
			if w.Code >= 300 {
				t.Errorf("%s\n%d %s", m[0], w.Code, w.Body)
			}
		}
	}
	if found < 8 {
		t.Errorf("%d commands found", found)
	}
}

func TestPageHasEveryRoute(t *testing.T) {
	for line := range strings.Lines(ask(koodrivetest.New(), "GET", "/simulate/", "").Body.String()) {
		route := strings.Join(strings.Fields(line)[:2], " ")
		if !strings.Contains(page(t), "\n| `"+route+"` |") {
			t.Errorf("the page does not have %s", route)
		}
	}
}

// TestPageHasEveryKey takes the keys from the script that uses them all, and those of the log from the log.
func TestPageHasEveryKey(t *testing.T) {
	text, err := os.ReadFile("testdata/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	k := koodrivetest.New()
	k.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", taskPath+"1", nil))
	keys := regexp.MustCompile(`"([a-zA-Z]+)":`).FindAllStringSubmatch(string(text)+ask(k, "GET", "/simulate/requests", "").Body.String(), -1)
	for _, key := range keys {
		if key[1] != "code" && !regexp.MustCompile("(?m)^\\| (`[a-zA-Z]+`, )*`"+key[1]+"`[ ,]").MatchString(page(t)) {
			t.Errorf("the page does not have %s", key[1])
		}
	}
}

// TestGoOnThePage finds the page's Go in the examples, which run.
func TestGoOnThePage(t *testing.T) {
	example, err := os.ReadFile("script_example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range fences(t, "go") {
		indented := regexp.MustCompile("(?m)^(.)").ReplaceAllString(block, "\t$1")
		if !strings.Contains(string(example), indented) {
			t.Errorf("not in the examples:\n%s", block)
		}
	}
}
