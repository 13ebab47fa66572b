package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/kootask/kootask/sabotage/change"
)

// sabotage is a change to the server that must turn the scenarios red, for every client, and no others.
type sabotage struct {
	name string
	change.Change
	red []string
}

var sabotages = []sabotage{
	{
		"an unlisted status becomes EXECUTING",
		change.Change{
			In:   "service.toStatus",
			From: `taskv1.TaskStatus_TASK_STATUS_UNSPECIFIED`,
			To:   `taskv1.TaskStatus_TASK_STATUS_EXECUTING`,
		},
		[]string{"unlisted status"},
	},
	{
		"a stopping server does not say when to retry",
		change.Change{
			In:   "service/reason.rows",
			From: `taskv1.ErrorReason_SERVER_DRAINING: {code: codes.Unavailable, retry: comeBack`,
			To:   `taskv1.ErrorReason_SERVER_DRAINING: {code: codes.Unavailable`,
		},
		[]string{"drain in the middle", "drain in the middle of a list"},
	},
	{
		"no heartbeat opens the stream while KooDrive hangs",
		change.Change{
			In:   "service.FirstMessage",
			From: `time.Second`,
			To:   `time.Minute`,
		},
		[]string{"heartbeat before the first answer"},
	},
	{
		"a failed task is never an error",
		change.Change{
			In:   "service.Service.failedTask",
			From: `!asError`,
			To:   `true`,
		},
		[]string{"TASK_FAILED of a watch", "TASK_FAILED of a get", "TASK_FAILED of a wait"},
	},
	{
		"a task that is not found ends its list",
		change.Change{
			In:   "service.dropped",
			From: `taskv1.ErrorReason_TASK_NOT_FOUND: true`,
			To:   `taskv1.ErrorReason_TASK_NOT_FOUND: false`,
		},
		[]string{"list with a task that is not found"},
	},
	{
		"an invalid list names another task",
		change.Change{
			In:   "service/ask.CheckTaskIDs",
			From: `violation(bad, fmt.Sprintf("%s[%d]", fieldTaskIDs, i))`,
			To:   `violation(bad, fmt.Sprintf("%s[%d]", fieldTaskIDs, i+1))`,
		},
		[]string{"list with an invalid id"},
	},
}

// tryAll tries all sabotages at once, because they mostly wait. It fails if one turns other cells red than it should.
// It leaves out scenarios without the server.
func tryAll(ctx context.Context, out io.Writer, dir string, clients []client, scenarios []scenario) error {
	scenarios = slices.DeleteFunc(slices.Clone(scenarios), func(s scenario) bool { return s.KooDrive == nil })
	var all sync.WaitGroup
	var mu sync.Mutex // Guards failures, wrong and out.
	var failures []error
	wrong := 0
	for _, s := range sabotages {
		all.Go(func() {
			cells, err := s.try(ctx, dir, clients, scenarios)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", s.name, err))
				return
			}
			word := "red "
			if !s.isRight(cells) {
				word = "FAIL"
				wrong++
				table(out, clients, scenarios, cells)
			}
			_, _ = fmt.Fprintf(out, "%s %s: %d of %d cells, %s\n",
				word, s.name, len(failed(cells)), len(cells), strings.Join(s.red, ", "))
		})
	}
	all.Wait()
	if wrong > 0 {
		failures = append(failures, fmt.Errorf("%d of %d sabotages turn other cells red than they should", wrong, len(sabotages)))
	}
	return errors.Join(failures...)
}

// try runs the scenarios against the sabotaged server: those that must turn red with every client, the others with the
// first client only. That the others pass does not depend on the language.
func (s sabotage) try(ctx context.Context, dir string, clients []client, scenarios []scenario) (map[cell]error, error) {
	overlay, err := s.Overlay(dir)
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp(dir, "sabotage")
	if err != nil {
		return nil, err
	}
	program, err := build(ctx, filepath.Join(folder, "kootask"), overlay)
	if err != nil {
		return nil, err
	}
	red, others := s.split(scenarios)
	cells := runAll(ctx, program, clients, red)
	maps.Copy(cells, runAll(ctx, program, clients[:1], others))
	return cells, ctx.Err()
}

// split returns the scenarios that the sabotage must turn red, and the others.
func (s sabotage) split(scenarios []scenario) (red, others []scenario) {
	for _, one := range scenarios {
		if slices.Contains(s.red, one.Name) {
			red = append(red, one)
		} else {
			others = append(others, one)
		}
	}
	return red, others
}

// isRight reports whether exactly the cells of the red scenarios have failed.
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
