package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/canaries"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// An operator can report the values that the contract does not list: the log has each once, whichever calls, watches and
// callers meet it. It has neither the caller nor the task, even if KooDrive repeats the caller's token.
func TestUnlistedValuesAreInTheLogOnce(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		const other = "another-token-of-a-caller"
		s.koodrive.AddToken(other, 0)
		for i, code := range []string{"18000999", other, "18000999\nforged", "18000999"} {
			s.koodrive.SetTask(koodrivetest.Task{ID: fmt.Sprint("t-", i), Type: new(int64(9)), Steps: []koodrivetest.Step{
				{Status: 7}, {Status: koodrivetest.StatusFailed, ResultCode: code},
			}})
		}
		for _, s.credential = range []string{other, token} {
			for i := range 4 {
				id := fmt.Sprint("t-", i)
				if i == 1 && s.credential == token {
					continue // It would be told the other's token.
				}
				s.watch(t.Context(), t, surfaces[i%len(surfaces)], id)
				if _, err := s.tasks.GetTask(as(t.Context(), s.credential), &taskv1.GetTaskRequest{TaskId: id, MaxAge: noAge}); err != nil {
					t.Error(err)
				}
			}
		}
		var got []string
		for line := range strings.Lines(s.log.String()) {
			var attrs map[string]any
			if err := json.Unmarshal([]byte(line), &attrs); err != nil {
				t.Fatal(err)
			}
			if attrs["msg"] != "unlisted value" {
				continue
			}
			delete(attrs, "time")
			got = append(got, fmt.Sprint(attrs))
		}
		slices.Sort(got)
		line := func(field, value string, status int) string {
			return fmt.Sprint(map[string]any{"msg": "unlisted value", "level": "WARN", "field": field, "value": value, "status": status, "task_type": 9})
		}
		want := []string{
			line("result_code", "(a part of the request)", 3), line("result_code", "(not visible ASCII)", 3), line("result_code", "18000999", 3),
			line("status", "7", 7), line("task_type", "9", 7),
		}
		if !slices.Equal(got, want) {
			t.Errorf("the log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if form := canaries.New("the other token", other).In(s.log.String()); form != "" {
			t.Errorf("the log has the token, %s", form)
		}
	})
}
