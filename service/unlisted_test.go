package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/upstream"
)

const secretToken = "0123456789abcdef0123456789abcdef0123456789abcdef"

// question returns the question of a caller with secretToken for the task of an id.
func question(t *testing.T, id string) *ask.Question {
	t.Helper()
	client, err := upstream.NewClient(upstream.Config{BaseURL: "http://koodrive.test", AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{Upstream: client})
	t.Cleanup(func() {
		s.Close()
		client.Close()
	})
	header := metadata.Pairs("authorization", "Bearer "+secretToken, "x-user-id", "1395497048157130881")
	who, err := caller.NewReader(caller.Forward, "").Read(header.Get)
	if err != nil {
		t.Fatal(err)
	}
	q, err := s.ask.Question(&who, id)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// logged is a log in memory.
type logged struct{ text bytes.Buffer }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(&l.text, nil)) }

// lines returns the attributes of each line, without its time.
func (l *logged) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.text.String()) {
		var attrs map[string]any
		if err := json.Unmarshal([]byte(line), &attrs); err != nil {
			t.Fatal(err)
		}
		delete(attrs, "time")
		all = append(all, attrs)
	}
	return all
}

// A line has an unlisted value, if it can be logged, and numbers that explain it. Nothing in it leads to a user.
func TestUnlistedValuesAreLogged(t *testing.T) {
	const id = "1534087020903704704"
	line := func(field, value string, status float64) map[string]any {
		return map[string]any{"level": "WARN", "msg": "unlisted value", "field": field, "value": value, "status": status, "task_type": 0.}
	}
	with := func(line map[string]any, name string, value any) map[string]any {
		if line[name] = value; value == nil {
			delete(line, name)
		}
		return line
	}
	code := func(code string) upstream.Task {
		return upstream.Task{Status: upstream.StatusFailed, Type: new(int32(0)), ResultCode: code}
	}
	lineOf := func(value string) map[string]any { return line("result_code", value, 3) }
	for name, row := range map[string]struct {
		task upstream.Task
		want []map[string]any
	}{
		"listed":           {upstream.Task{Status: 3, Type: new(int32(1)), ResultCode: "18000205"}, nil},
		"no type, no code": {upstream.Task{Status: 1}, nil},
		"a status":         {upstream.Task{Status: 77, Type: new(int32(0))}, []map[string]any{line("status", "77", 77)}},
		"a negative status, and no type": {
			upstream.Task{Status: -1}, []map[string]any{with(line("status", "-1", -1), "task_type", nil)},
		},
		"a type": {
			upstream.Task{Status: 1, Type: new(int32(9))}, []map[string]any{with(line("task_type", "9", 1), "task_type", 9.)},
		},
		"all three": {upstream.Task{Status: 7, Type: new(int32(9)), ResultCode: "X-1"}, []map[string]any{
			with(line("status", "7", 7), "task_type", 9.), with(line("task_type", "9", 7), "task_type", 9.),
			with(line("result_code", "X-1", 7), "task_type", 9.),
		}},
		"a code":                    {code("18000999"), []map[string]any{lineOf("18000999")}},
		"zero":                      {code("0"), []map[string]any{lineOf("0")}},
		"every visible character":   {code(`!"#&'<>\^~`), []map[string]any{lineOf(`!"#&'<>\^~`)}},
		"32 characters":             {code(strings.Repeat("9", 32)), []map[string]any{lineOf(strings.Repeat("9", 32))}},
		"a long code":               {code(strings.Repeat("9", 33)), []map[string]any{lineOf(strings.Repeat("9", 32))}},
		"a megabyte":                {code(strings.Repeat("9", 1<<20)), []map[string]any{lineOf(strings.Repeat("9", 32))}},
		"a space":                   {code("18000 999"), []map[string]any{lineOf("(not visible ASCII)")}},
		"spaces":                    {code("  "), []map[string]any{lineOf("(not visible ASCII)")}},
		"a new line":                {code("18000999\nlevel=ERROR"), []map[string]any{lineOf("(not visible ASCII)")}},
		"an escape sequence":        {code("\x1b[31m18000999"), []map[string]any{lineOf("(not visible ASCII)")}},
		"a character at the end":    {code(strings.Repeat("9", 40) + "\x00"), []map[string]any{lineOf("(not visible ASCII)")}},
		"another script":            {code("失败"), []map[string]any{lineOf("(not visible ASCII)")}},
		"the token":                 {code(secretToken), []map[string]any{lineOf("(a part of the request)")}},
		"the token in a text":       {code("token=" + secretToken), []map[string]any{lineOf("(a part of the request)")}},
		"the end of the token":      {code("token:" + secretToken[40:]), []map[string]any{lineOf("(a part of the request)")}},
		"the task's id":             {code(id), []map[string]any{lineOf("(a part of the request)")}},
		"the user's id":             {code("user-1395497048157130881"), []map[string]any{lineOf("(a part of the request)")}},
		"the token after 32 others": {code(strings.Repeat("9", 32) + secretToken), []map[string]any{lineOf(strings.Repeat("9", 32))}},
		"too little of the token":   {code("9-0123456-9"), []map[string]any{lineOf("9-0123456-9")}},
	} {
		t.Run(name, func(t *testing.T) {
			row.task.ID, row.task.Name, row.task.UserID, row.task.TenantID = id, "lym0412normal", "1395497048157130881", "d5ac574bd2934a69baa4f23c55daa8d4"
			row.task.SentStatus, row.task.SentType = row.task.Status, row.task.Type
			var log logged
			newUnlisted(log.logger(), newMetrics(nil).unknown).see(question(t, id), row.task)
			if diff := cmp.Diff(row.want, log.lines(t)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Each pair of field and value is logged once, and at most 100 of them. All of them are counted.
func TestUnlistedValuesAreLoggedOnce(t *testing.T) {
	const values = 250
	var log logged
	registry, q := prometheus.NewRegistry(), question(t, "1")
	u := newUnlisted(log.logger(), newMetrics(registry).unknown)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range values {
				u.see(q, upstream.Task{Status: upstream.StatusFailed, ResultCode: fmt.Sprint("code-", i)})
				u.see(q, upstream.Task{Status: int32(10 + i), ResultCode: "失败"})
			}
		})
	}
	all.Wait()
	seen := map[string]int{}
	for _, line := range log.lines(t) {
		seen[fmt.Sprint(line["field"], " ", line["value"])]++
	}
	for name, times := range seen {
		if times != 1 {
			t.Errorf("%s was logged %d times", name, times)
		}
	}
	if len(seen) != maxUnlisted || seen["result_code (not visible ASCII)"] != 1 {
		t.Errorf("%d pairs were logged: %v", len(seen), seen)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "kootask_unknown_values_total" {
			for _, m := range family.GetMetric() {
				counted[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if diff := cmp.Diff(map[string]float64{fieldStatus: 8 * values, fieldResultCode: 16 * values, fieldTaskType: 0}, counted); diff != "" {
		t.Error(diff)
	}
}
