package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// 120 tasks are two streams, and each task has its end. Their ids come from the arguments or the standard input.
func TestManyTasks(t *testing.T) {
	t.Parallel()
	type step map[string]string
	var tasks []map[string]any
	var ids []string
	for i := range 120 {
		ids = append(ids, fmt.Sprint("many-", i))
		steps := []step{{"status": "EXECUTING"}, {"status": "SUCCESS"}}
		if i%40 == 39 {
			steps = []step{{"status": "FAILED", "resultCode": "18000205"}}
		}
		tasks = append(tasks, map[string]any{"id": ids[i], "steps": steps})
	}
	script, err := json.Marshal(map[string]any{"tokens": []map[string]string{{"token": "many"}}, "tasks": tasks})
	if err != nil {
		t.Fatal(err)
	}
	koodrive := start(t, nil, "simulate", "--addr=127.0.0.1:0", "--script="+file(t, string(script))).says(t, `(http://[^\s,]+)`)
	serve := start(t, nil, "serve", "--upstream-url="+koodrive, "--upstream-allow-http", "--upstream-rps=1000", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=")
	addr := "--addr=" + serve.says(t, `"grpc":"([^"]+)"`)
	list := strings.Join(ids, "\n ")
	for name, row := range map[string]struct {
		args  []string
		input string
		lines map[string]int // Numbers of lines with a text.
	}{
		"watch": {append([]string{"watch", addr, "--output=json"}, ids...), "", map[string]int{`"TASK_STATUS_SUCCESS"`: 117, `"TASK_STATUS_FAILED"`: 3, `"end":{}`: 120}},
		"lines": {[]string{"watch", addr, "-"}, list, map[string]int{" SUCCESS": 117, " FAILED 18000205": 3}},
		"wait":  {[]string{"wait", addr, "--output=json", "-", ids[0]}, list, map[string]int{`"TASK_STATUS_SUCCESS"`: 117, `"TASK_STATUS_FAILED"`: 3, "": 120}},
		"get":   {[]string{"get", addr, "--output=json", "-"}, list, map[string]int{"": 120}},
	} {
		cmd := exec.CommandContext(t.Context(), program, row.args...)
		cmd.Env, cmd.Stdin = []string{tokenVariable + "=many"}, strings.NewReader(row.input)
		out, err := cmd.Output()
		code := cmd.ProcessState.ExitCode()
		lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
		for text, want := range row.lines {
			if got := len(slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.Contains(line, text) })); got != want {
				t.Errorf("%s: %d lines with %s, want %d", name, got, text, want)
			}
		}
		if name == "watch" {
			checkEnds(t, string(out), ids)
		}
		if code != exitFailed {
			t.Errorf("%s: exit %d, %v", name, code, err)
		}
	}
	// Two for each command but get.
	await(t, serve.ended, func() bool { return strings.Count(serve.stderr.String(), "TaskService/WatchTasks") >= 6 })
	if n := strings.Count(serve.stderr.String(), "TaskService/WatchTasks"); n != 6 {
		t.Errorf("%d streams", n)
	}
	if n := strings.Count(serve.stderr.String(), "TaskService/WatchTask\""); n > 0 {
		t.Errorf("%d watches of single tasks", n)
	}
	empty := exec.CommandContext(context.Background(), program, "watch", addr, "-")
	if out, _ := empty.CombinedOutput(); empty.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(out), "the standard input has no ids") {
		t.Errorf("without ids: %s", out)
	}
}
