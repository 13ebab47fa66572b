package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kootask/kootask/sabotage/change"
)

// sabotage breaks the server, and turns these scenarios red, for every client, and no other one.
type sabotage struct {
	name string
	change.Change
	red []string
}

var sabotages = []sabotage{
	{
		"a status that is not listed is taken for EXECUTING",
		change.Change{
			File: "service/convert.go",
			From: `	return taskv1.TaskStatus_TASK_STATUS_UNSPECIFIED`,
			To:   `	return taskv1.TaskStatus_TASK_STATUS_EXECUTING`,
		},
		[]string{"unlisted status"},
	},
	{
		"a server that stops does not say when to come back",
		change.Change{
			File: "service/reason/table.go",
			From: "retry: comeBack,\n\t\tenglish: \"The server is stopping",
			To:   "\n\t\tenglish: \"The server is stopping",
		},
		[]string{"drain in the middle"},
	},
	{
		"no heartbeat opens a watch that KooDrive lets wait",
		change.Change{
			File: "service/service.go",
			From: `const FirstMessage = 2 * time.Second`,
			To:   `const FirstMessage = 2 * time.Minute`,
		},
		[]string{"heartbeat before the first answer"},
	},
	{
		"a failed task is no error for anybody",
		change.Change{
			File: "service/service.go",
			From: `if t.Status != upstream.StatusFailed || !req.GetFailedTaskAsError() {`,
			To:   `if t.Status != upstream.StatusFailed || req != nil {`,
		},
		[]string{"TASK_FAILED of a watch", "TASK_FAILED of a get"},
	},
}

// tryAll tries all sabotages, and fails if one turns another set of cells red than it should. Scenarios without the server it
// leaves out.
func tryAll(ctx context.Context, out io.Writer, dir string, clients []client, scenarios []scenario) error {
	scenarios = slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return s.KooDrive == nil })
	wrong := 0
	for i, s := range sabotages {
		overlay, err := s.Overlay(dir)
		if err != nil {
			return err
		}
		program, err := build(ctx, filepath.Join(dir, fmt.Sprintf("kootask-%d", i)), overlay)
		if err != nil {
			return err
		}
		cells := runAll(ctx, program, clients, scenarios)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		word := "red "
		if !s.isRight(cells) {
			word = "FAIL"
			wrong++
			table(out, clients, scenarios, cells)
		}
		_, _ = fmt.Fprintf(out, "%s %s: %d of %d cells, %s\n", word, s.name, len(failed(cells)), len(cells), strings.Join(s.red, ", "))
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d sabotages do not turn the cells red that they should", wrong, len(sabotages))
	}
	return nil
}

// isRight reports whether the cells that failed are those of the red scenarios.
func (s sabotage) isRight(cells map[cell]error) bool {
	if len(failed(cells)) == 0 {
		return false
	}
	for c, err := range cells {
		if (err != nil) != slices.Contains(s.red, c.scenario) {
			return false
		}
	}
	return true
}
