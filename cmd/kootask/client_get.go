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

// getCommand shows tasks as they are now.
type getCommand struct {
	clientFlags
	colourFlags
	Timeout time.Duration `default:"30s" help:"Maximum wait for the answers."`
	IDs     []string      `arg:"" name:"id" help:"Ids of the tasks. - reads ids from the standard input."`
}

// Help is shown below the command's help.
func (getCommand) Help() string {
	return "Exit codes: 0 no task has failed; 3 one has failed; 4 one is not found; " +
		"5 the credential or the caller is refused; 2 usage; 130 interrupted; 1 anything else. " +
		"If several apply, the first of 130, 1, 5, 4, 3."
}

// getAtOnce is the number of calls of get in flight.
const getAtOnce = 8

// Run asks once for each task, and prints the answers in the order of the ids.
func (c *getCommand) Run(ctx context.Context, in input, out output) error {
	client, ids, err := c.connectFor(in, c.IDs)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	type answer struct {
		task *taskv1.Task
		err  error
	}
	answers, slots := make([]chan answer, len(ids)), make(chan struct{}, getAtOnce)
	for i := range ids {
		answers[i] = make(chan answer, 1)
	}
	go func() {
		for i, id := range ids {
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				task, err := client.Get(ctx, id, client.options()...)
				answers[i] <- answer{task, err}
			}()
		}
	}()
	var all []int
	for i, id := range ids {
		got := <-answers[i]
		code := codeOf(got.task, got.err)
		all = append(all, code)
		switch {
		case got.err != nil && code != exitInterrupted:
			prefix := ""
			if len(ids) > 1 {
				prefix = id + ": "
			}
			_, _ = fmt.Fprintln(out.stderr, "kootask:", prefix+printable(client.explain(got.err)))
		case got.err != nil:
		case c.Output == "json":
			_, _ = fmt.Fprintf(out.stdout, "%s\n", asJSON(got.task))
		default:
			if i > 0 {
				_, _ = fmt.Fprintln(out.stdout)
			}
			client.words.printTask(out.stdout, got.task, c.colours(out.stdout))
		}
	}
	return worst(all)
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
func (w *words) printTask(out io.Writer, task *taskv1.Task, colours bool) {
	kind := w.Untyped
	if task.KoodriveTaskType != nil {
		kind = fmt.Sprintf("%s (%d)", strings.TrimPrefix(task.GetTaskType().String(), "TASK_TYPE_"), task.GetKoodriveTaskType())
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		label string
		value piece
	}{
		{"task", in(plain, task.GetTaskId())},
		{"status", in(colourOf(task), w.state(task))},
		{"name", in(plain, task.GetTaskName())},
		{"type", in(plain, kind)},
		{"tenant", in(plain, task.GetTenantId())},
		{"user", in(plain, task.GetUserId())},
		{"observed", in(plain, task.GetObserveTime().AsTime().UTC().Format(time.RFC3339))},
	} {
		if row.value.text != "" {
			_, _ = fmt.Fprintf(table, "%s\t%s\n", w.Labels[row.label], coloured{row.value}.render(colours))
		}
	}
	_ = table.Flush()
}
