package main

import (
	"bytes"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kootask/kootask/service/reason"
)

var verb = regexp.MustCompile(`%[a-z]`)

// Each language has each text, with the same verbs.
func TestWords(t *testing.T) {
	var strict map[string]*words
	decoder := yaml.NewDecoder(bytes.NewReader(wordsFile))
	decoder.KnownFields(true)
	if err := decoder.Decode(&strict); err != nil {
		t.Fatal(err)
	}
	all := allWords()
	english := reflect.ValueOf(*all[reason.English])
	if len(all) != len(reason.Languages()) {
		t.Errorf("%d languages, and errors have %q", len(all), reason.Languages())
	}
	for _, language := range reason.Languages() {
		of := reflect.ValueOf(*all[language])
		for i := range of.NumField() {
			name := of.Type().Field(i).Name
			if of.Field(i).Kind() == reflect.String {
				checkText(t, language+" "+name, english.Field(i), of.Field(i))
				continue
			}
			if got, want := of.Field(i).Len(), english.Field(i).Len(); got != want {
				t.Errorf("%s %s: %d texts, want %d", language, name, got, want)
			}
			for _, key := range english.Field(i).MapKeys() {
				checkText(t, language+" "+name, english.Field(i).MapIndex(key), of.Field(i).MapIndex(key))
			}
		}
	}
}

func checkText(t *testing.T, name string, english, text reflect.Value) {
	t.Helper()
	if !text.IsValid() || text.String() == "" {
		t.Errorf("%s: there is no text for %q", name, english)
	} else if want, got := verb.FindAllString(english.String(), -1), verb.FindAllString(text.String(), -1); !slices.Equal(got, want) {
		t.Errorf("%s: verbs %q, want %q", name, got, want)
	}
}

// A locale chooses the language.
func TestLanguageOf(t *testing.T) {
	for locale, want := range map[string]string{
		"": reason.English, "C": reason.English, "en_US.UTF-8": reason.English, "zh_TW.UTF-8": reason.English, "zh_CN.GBK": reason.English, "zhx": reason.English,
		"zh_CN.UTF-8": reason.Chinese, "zh_CN": reason.Chinese, "zh_SG.utf8": reason.Chinese, "zh": reason.Chinese, "zh-Hans-CN": reason.Chinese,
	} {
		if got := languageOf(locale); got != want {
			t.Errorf("%q: %s, want %s", locale, got, want)
		}
	}
}

// The first variable that is set decides. It changes the language of calls and of the output for people, but not JSON or faults
// of the command line.
func TestLanguageOfTheUser(t *testing.T) {
	addr, _ := demo(t)
	t.Setenv(tokenVariable, demoToken)
	for _, row := range []struct {
		all, messages, lang string
		chinese             bool
	}{
		{"", "", "zh_CN.UTF-8", true}, {"", "zh_CN.UTF-8", "en_US.UTF-8", true}, {"C", "zh_CN.UTF-8", "zh_CN.UTF-8", false},
		{"zh_CN.UTF-8", "C", "C", true}, {"", "", "", false},
	} {
		t.Setenv("LC_ALL", row.all)
		t.Setenv("LC_MESSAGES", row.messages)
		t.Setenv("LANG", row.lang)
		for _, check := range []struct {
			args             []string
			english, chinese string
		}{
			{[]string{"get", addr, failedID}, "status    FAILED 18000205\n", "状态  失败 18000205\n"},
			{[]string{"get", addr, "9"}, "KooDrive has no such task.", "KooDrive 中不存在该任务。"},
			{[]string{"wait", addr, "9"}, "KooDrive has no such task.", "KooDrive 中不存在该任务。"},
			{[]string{"watch", addr, failedID, "9"}, "1 failed, 1 not found, ", "1 个失败，1 个不存在，"},
			{[]string{"watch", addr, "9"}, "KooDrive has no such task.", "KooDrive 中不存在该任务。"},
			{[]string{"get", addr, "--output=json", failedID}, `"TASK_STATUS_FAILED"`, `"TASK_STATUS_FAILED"`},
			{[]string{"watch", addr, "--output=json", "9"}, `"KooDrive has no such task."`, `"KooDrive has no such task."`},
			{[]string{"watch", addr, "list"}, "reserved by KooDrive", "reserved by KooDrive"},
		} {
			want := check.english
			if row.chinese {
				want = check.chinese
			}
			_, stdout, stderr := ask(t, check.args...)
			if !strings.Contains(stdout+stderr, want) || slices.Contains(check.args, "--output=json") && han.MatchString(stdout+stderr) {
				t.Errorf("%+v, %q:\n%s%s", row, check.args, stdout, stderr)
			}
		}
	}
}

var han = regexp.MustCompile(`\p{Han}`)
