package main

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// Each reason has a cause and a remedy in each language, and nothing else has.
func TestEachReasonIsExplained(t *testing.T) {
	var all map[string]map[string]advice
	if err := yaml.Unmarshal(advices, &all); err != nil {
		t.Fatal(err)
	}
	for number, name := range taskv1.ErrorReason_name {
		if number == 0 {
			continue
		}
		for _, language := range reason.Languages() {
			a := all[name][language]
			text, err := explanation(name)
			if err != nil || a.Cause == "" || a.Remedy == "" || !strings.Contains(text, a.Cause) || !strings.Contains(text, a.Remedy) {
				t.Errorf("%s in %s: %+v, %v, %s", name, language, a, err, text)
			}
		}
		delete(all, name)
	}
	if len(all) > 0 {
		t.Errorf("no reasons: %v", all)
	}
}

// A name is explained in any case, and a code by its reason, also that of a dialect.
func TestExplain(t *testing.T) {
	overlay := file(t, `{codes: [{code: "13000499", reason: TASK_NOT_FOUND}], result_codes: {"18000205": {en-US: Full., zh-CN: 已满。}}}`)
	for _, row := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"task_not_found"}, exitOK, []string{"TASK_NOT_FOUND\n\nKooDrive has no such task.\nCause:  ", "\nRemedy: ", "\n\nKooDrive 中不存在该任务。\n原因：", "\n处理："}},
		{[]string{"13000309"}, exitOK, []string{"reports it as TASK_NOT_FOUND", "KooDrive has no such task."}},
		{[]string{"APIGW.0301"}, exitOK, []string{"reports it as CREDENTIAL_REJECTED"}},
		{[]string{"13000499"}, exitUsage, []string{"neither a reason nor a code"}},
		{[]string{"13000499", "--dialect=" + overlay}, exitOK, []string{"reports it as TASK_NOT_FOUND"}},
		{[]string{"18000205"}, exitOK, []string{"result code", "do not say what it means"}},
		{[]string{"18000205", "--dialect=" + overlay}, exitOK, []string{"result code", "Full.\n已满。\n"}},
		{[]string{"ERROR_REASON_UNSPECIFIED"}, exitUsage, []string{"neither a reason nor a code"}},
		{nil, exitUsage, []string{"expected"}},
	} {
		code, stdout, stderr := ask(t, append([]string{"explain"}, row.args...)...)
		for _, want := range row.want {
			if code != row.code || !strings.Contains(stdout+stderr, want) || (stdout == "") != (code != exitOK) {
				t.Errorf("%q: exit %d, %s%s, want %q", row.args, code, stdout, stderr, want)
			}
		}
	}
}

// documentedExplanation returns an explanation, for docs/cli.md.
func documentedExplanation(t *testing.T) string {
	t.Helper()
	_, stdout, _ := ask(t, "explain", "13000309")
	return "```text\n$ kootask explain 13000309\n" + stdout + "```\n"
}
