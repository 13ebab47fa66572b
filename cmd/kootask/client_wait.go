package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// waitCommand waits until tasks are finished.
type waitCommand struct {
	clientFlags
	Timeout time.Duration `default:"0s" help:"Maximum wait. 0: no limit."`
	IDs     []string      `arg:"" name:"id" help:"Ids of the tasks. - reads ids from the standard input."`
}

// Help is shown below the command's help.
func (waitCommand) Help() string {
	return "Prints only errors; with --output json, each task once it is finished. " + watchCommand{}.Help()
}

// Run waits until all tasks are finished.
func (c *waitCommand) Run(ctx context.Context, in input, out output) error {
	client, ids, err := c.connectFor(in, c.IDs)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	return client.follow(ctx, ids, &quietView{out: out, words: client.words, json: c.Output == "json", timeout: c.Timeout})
}

// quietView prints finished tasks as JSON, if that is wanted, and errors.
type quietView struct {
	out     output
	words   *words
	json    bool
	timeout time.Duration // 0: none.
}

func (v *quietView) task(t *taskv1.Task) {
	if v.json && t.GetDone() {
		_, _ = fmt.Fprintf(v.out.stdout, "%s\n", asJSON(t))
	}
}

func (v *quietView) heartbeat([]string, *taskv1.Heartbeat) {}
func (v *quietView) resume([]string, *kootask.Resume)      {}
func (v *quietView) dropped(string, *kootask.Error)        {}

func (v *quietView) end(e outcome) {
	if v.timeout > 0 && errors.Is(e.err, context.DeadlineExceeded) {
		e.why = fmt.Sprintf(v.words.Timeout, v.timeout)
	}
	if e.err != nil && e.code != exitInterrupted {
		_, _ = fmt.Fprintf(v.out.stderr, "kootask: %s: %s\n", e.id, printable(e.why))
	}
}

func (v *quietView) close() {}
