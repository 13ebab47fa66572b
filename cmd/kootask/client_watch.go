package main

import (
	"context"
	"iter"
	"slices"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// watchCommand shows tasks until they are finished.
type watchCommand struct {
	clientFlags
	colourFlags
	IDs []string `arg:"" name:"id" help:"Ids of the tasks. - reads ids from the standard input."`
}

// Help is shown below the command's help.
func (watchCommand) Help() string {
	return "Exit codes: 0 all tasks have succeeded; 3 one has failed; 4 one is not found; " +
		"5 the credential or the caller is refused; 2 usage; 130 interrupted; 1 anything else. " +
		"If several apply, the first of 130, 1, 5, 4, 3."
}

// Run watches until all tasks are finished.
func (c *watchCommand) Run(ctx context.Context, in input, out output) error {
	client, ids, err := c.connectFor(in, c.IDs)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	show := c.view(out, client.words, ids)
	defer show.close()
	return client.follow(ctx, ids, show)
}

// follow shows tasks until they are finished, and returns the exit code.
func (c *connection) follow(ctx context.Context, ids []string, show view) error {
	return follow(c.events(ctx, ids), ids, show, c.explain)
}

// follow shows the events of a watch of ids. explain returns the text for an error.
func follow(events iter.Seq2[kootask.Event, error], ids []string, show view, explain func(error) string) error {
	left, last := slices.Clone(ids), map[string]*taskv1.Task{}
	var all []int
	end := func(id string, err error, why string) {
		left = slices.DeleteFunc(left, func(other string) bool { return other == id })
		code := codeOf(last[id], err)
		all = append(all, code)
		show.end(outcome{id, code, err, why})
	}
	for e, err := range events {
		switch {
		case err != nil:
			why := explain(err)
			for _, id := range slices.Clone(left) {
				end(id, err, why)
			}
		case e.Task != nil:
			id := e.Task.GetTaskId()
			last[id] = e.Task
			if show.task(e.Task); e.Task.GetDone() {
				end(id, nil, "")
			}
		case e.Dropped != nil && e.Dropped.Retry:
			show.dropped(e.Dropped.TaskID, e.Dropped)
		case e.Dropped != nil:
			end(e.Dropped.TaskID, e.Dropped, explain(e.Dropped))
		case e.Heartbeat != nil:
			show.heartbeat(e.TaskIDs, e.Heartbeat)
		case e.Resume != nil:
			show.resume(e.TaskIDs, e.Resume)
		}
	}
	return worst(all)
}

// events returns the events of a watch: of a list, or of a single task, which older servers have as well.
func (c *connection) events(ctx context.Context, ids []string) iter.Seq2[kootask.Event, error] {
	if len(ids) == 1 {
		return c.Events(ctx, ids[0], c.options()...)
	}
	return c.WatchAll(ctx, ids, c.options()...)
}

// minHeight is the height of a terminal below which a watch prints lines instead of a live view.
const minHeight = 3

func (c *watchCommand) view(out output, w *words, ids []string) view {
	size := func() (width, height int, ok bool) { return terminalSize(out.stdout) }
	width, height, ok := size()
	switch {
	case c.Output == "json":
		return &jsonView{out}
	case ok && width > 0 && height >= minHeight:
		return newLiveView(painter{out: out.stdout, colours: c.colours(out.stdout)}, size, w, ids)
	default:
		return newLineView(out.stdout, c.colours(out.stdout), w)
	}
}
