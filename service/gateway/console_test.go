package gateway

import (
	"encoding/json"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// sources are the page's files by name.
func sources(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	names, err := fs.Glob(console, "console/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		content, err := fs.ReadFile(console, name)
		if err != nil {
			t.Fatal(err)
		}
		all[path.Base(name)] = string(content)
	}
	return all
}

// Whatever the page loads is there, with its type, and under its policy.
func TestConsoleIsWhole(t *testing.T) {
	mux := runtime.NewServeMux()
	if err := registerConsole(mux, nil, nil); err != nil {
		t.Fatal(err)
	}
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	loaded := regexp.MustCompile(`(?:src="|href="|from '\./)((?:console/)?[a-z]+\.[a-z]+)`)
	files, found := sources(t), map[string]bool{}
	for name, content := range files {
		for _, m := range loaded.FindAllStringSubmatch(content, -1) {
			found[path.Base(m[1])] = true
			w := get("/console/" + path.Base(m[1]))
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != mediaTypes[path.Ext(m[1])] || w.Header().Get("Content-Security-Policy") != consolePolicy {
				t.Errorf("%s loads %s: %d, %v", name, m[1], w.Code, w.Header())
			}
		}
	}
	for name := range files {
		if !found[name] && name != "index.html" {
			t.Errorf("nothing loads %s", name)
		}
	}
	if len(found) < 8 {
		t.Errorf("only %v is loaded", found)
	}
	if w := get("/"); w.Body.String() != files["index.html"] || !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "default-src 'none';") {
		t.Errorf("the page: %v", w.Header())
	}
}

// The page knows what every reason says, from the catalogue that errors have it from.
func TestConsoleHasTheCatalogue(t *testing.T) {
	results := map[string]map[string]string{"18000205": {reason.English: "Full.", reason.Chinese: "已满。"}}
	lines := strings.SplitAfter(string(catalogue(results)), "\n")
	var texts, codes map[string]map[string]string
	for i, into := range []*map[string]map[string]string{&texts, &codes} {
		_, module, _ := strings.Cut(lines[i], " = ")
		module = strings.TrimSuffix(strings.TrimSuffix(module, ";\n"), " ?? {}")
		if err := json.Unmarshal([]byte(module), into); err != nil {
			t.Fatal(err)
		}
	}
	if !maps.EqualFunc(codes, results, maps.Equal) {
		t.Errorf("result codes %v", codes)
	}
	for _, language := range []string{reason.English, reason.Chinese} {
		for number, name := range taskv1.ErrorReason_name {
			if number != 0 && texts[language][name] == "" {
				t.Errorf("%s says nothing in %s", name, language)
			}
		}
	}
}

// Each text of the page is there in both languages, with the same values, and is used.
func TestConsoleTexts(t *testing.T) {
	files := sources(t)
	english, chinese, ok := strings.Cut(files["text.js"], "'zh-CN': {")
	if !ok {
		t.Fatal("there is no Chinese")
	}
	entry := regexp.MustCompile(`'([a-z-]+(?:\.[A-Za-z_-]+)*)': (?:'([^']+)'|"([^"]+)")`)
	read := func(source string) map[string]string {
		all := map[string]string{}
		for _, m := range entry.FindAllStringSubmatch(source, -1) {
			all[m[1]] = m[2] + m[3]
		}
		return all
	}
	inEnglish, inChinese := read(english), read(chinese)
	if len(inEnglish) < 50 || len(inEnglish) != len(inChinese) {
		t.Errorf("%d texts in English, %d in Chinese", len(inEnglish), len(inChinese))
	}
	placeholder := regexp.MustCompile(`\{\w+\}`)
	for key, words := range inEnglish {
		values := [][]string{placeholder.FindAllString(words, -1), placeholder.FindAllString(inChinese[key], -1)}
		slices.Sort(values[0])
		slices.Sort(values[1])
		if inChinese[key] == "" || !slices.Equal(values[0], values[1]) {
			t.Errorf("%s: %q in English, %q in Chinese", key, words, inChinese[key])
		}
	}

	used := map[string]bool{}
	key := regexp.MustCompile(`(?:data-text="|text\('|wrong\([^,]*, ')([a-z-]+(?:\.[A-Za-z_-]+)*)['"]`)
	started := regexp.MustCompile("text\\(`([a-z]+\\.)\\$\\{") // The rest of the key is a value.
	for name, source := range files {
		if name == "text.js" {
			continue
		}
		for _, m := range key.FindAllStringSubmatch(source, -1) {
			if inEnglish[m[1]] == "" {
				t.Errorf("%s uses %s, which is not a text", name, m[1])
			}
		}
		for k := range inEnglish {
			used[k] = used[k] || strings.Contains(source, "'"+k+"'") || strings.Contains(source, `data-text="`+k+`"`)
		}
		for _, m := range started.FindAllStringSubmatch(source, -1) {
			for k := range inEnglish {
				used[k] = used[k] || strings.HasPrefix(k, m[1])
			}
		}
	}
	for k := range inEnglish {
		if !used[k] {
			t.Errorf("nothing says %s", k)
		}
	}
	// The values that a key may end in.
	for _, k := range []string{
		"connection.waiting", "connection.connecting", "connection.live", "connection.lost", "connection.ended", "connection.failed", "connection.stopped",
		"lost.http", "lost.redirect", "lost.network", "lost.silent", "lost.cut", "state.unknown", "state.other",
	} {
		if inEnglish[k] == "" {
			t.Errorf("there is no text %s", k)
		}
	}
	for _, number := range []int32{1, 2, 3, 4} {
		if k := "state." + strings.TrimPrefix(taskv1.TaskStatus(number).String(), "TASK_STATUS_"); inEnglish[k] == "" {
			t.Errorf("there is no text %s", k)
		}
	}
	for number, name := range taskv1.TaskType_name {
		if number != 0 && inEnglish["type."+name] == "" {
			t.Errorf("there is no text type.%s", name)
		}
	}
}
