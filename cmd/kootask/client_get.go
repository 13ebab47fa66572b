package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/jsonline"
)

// getCommand shows a task as it is now.
type getCommand struct {
	clientFlags
	Timeout time.Duration `default:"30s" help:"Maximum wait for the answer."`
	ID      string        `arg:"" help:"Id of the task."`
}

// Help is shown below the command's help.
func (getCommand) Help() string {
	return "Exit codes: 0 the task has not failed; 3 the task has failed; 4 it is not found; " +
		"5 the credential or the caller is refused; 2 usage; 130 interrupted; 1 anything else."
}

// Run asks once.
func (c *getCommand) Run(ctx context.Context, out output) error {
	client, err := c.connect(c.ID)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	task, err := client.Get(ctx, c.ID)
	code := codeOf(task, err)
	switch {
	case err != nil:
		if code != exitInterrupted {
			_, _ = fmt.Fprintln(out.stderr, "kootask:", printable(client.explain(err)))
		}
	case c.Output == "json":
		_, _ = fmt.Fprintf(out.stdout, "%s\n", asJSON(task))
	default:
		printTask(out.stdout, task)
	}
	return worst([]int{code})
}

// asOverREST is the JSON form of the HTTP port.
var asOverREST = protojson.MarshalOptions{EmitDefaultValues: true}

// asJSON returns a task in the JSON form of the HTTP port.
func asJSON(task *taskv1.Task) []byte {
	text, err := jsonline.Marshal(asOverREST, task)
	if err != nil { // Only text that is not UTF-8 fails, and gRPC refuses it.
		return []byte("{}")
	}
	return text
}

// printable returns text without characters that would control a terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// printTask prints a task, one line for each field.
func printTask(w io.Writer, task *taskv1.Task) {
	kind := "unknown"
	if task.KoodriveTaskType != nil {
		kind = fmt.Sprintf("%s (%d)", strings.TrimPrefix(task.GetTaskType().String(), "TASK_TYPE_"), task.GetKoodriveTaskType())
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"task", task.GetTaskId()},
		{"status", statusName(task)},
		{"name", task.GetTaskName()},
		{"type", kind},
		{"tenant", task.GetTenantId()},
		{"user", task.GetUserId()},
		{"observed", task.GetObserveTime().AsTime().UTC().Format(time.RFC3339)},
	} {
		if row[1] != "" {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", row[0], printable(row[1]))
		}
	}
	_ = table.Flush()
}
