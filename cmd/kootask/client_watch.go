package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"slices"

	"golang.org/x/term"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// watchCommand shows tasks until they are finished.
type watchCommand struct {
	clientFlags
	IDs []string `arg:"" name:"id" help:"Ids of the tasks. - reads ids from the standard input."`
}

// Help is shown below the command's help.
func (watchCommand) Help() string {
	return "Exit codes: 0 all tasks have succeeded; 3 one has failed; 4 one is not found; " +
		"5 the credential or the caller is refused; 2 usage; 130 interrupted; 1 anything else. " +
		"If several apply, the first of 130, 1, 5, 4, 3."
}

// view shows the events of the watched tasks.
type view interface {
	// task is called for each state of a task.
	task(t *taskv1.Task)
	// heartbeat and resume are about all the tasks of a stream.
	heartbeat(ids []string, h *taskv1.Heartbeat)
	resume(ids []string, r *kootask.Resume)
	// dropped is called for a task that is watched again after a delay.
	dropped(id string, why *kootask.Error)
	// end is called at the end of a task's watch. err is nil if the task is finished; otherwise why explains err.
	end(id string, err error, why string)
	// close is called when all watches have ended.
	close()
}

// Run watches until all tasks are finished.
func (c *watchCommand) Run(ctx context.Context, in input, out output) error {
	client, ids, err := c.connectFor(in, c.IDs)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	show := c.view(out, ids)
	defer show.close()
	return client.follow(ctx, ids, show)
}

// follow shows tasks until they are finished, and returns the exit code.
func (c *connection) follow(ctx context.Context, ids []string, show view) error {
	left, last := slices.Clone(ids), map[string]*taskv1.Task{}
	var all []int
	end := func(id string, err error, why string) {
		left = slices.DeleteFunc(left, func(other string) bool { return other == id })
		all = append(all, codeOf(last[id], err))
		show.end(id, err, why)
	}
	for e, err := range c.events(ctx, ids) {
		switch {
		case err != nil:
			why := c.explain(err)
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
			end(e.Dropped.TaskID, e.Dropped, c.explain(e.Dropped))
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
		return c.Events(ctx, ids[0])
	}
	return c.WatchAll(ctx, ids)
}

func (c *watchCommand) view(out output, ids []string) view {
	switch {
	case c.Output == "json":
		return &jsonView{out}
	case fits(out.stdout, len(ids)):
		return newLiveView(out.stdout, ids)
	default:
		return &lineView{out: out.stdout, health: map[string]string{}}
	}
}

// fits reports whether w is a terminal with room for this number of lines.
func fits(w *checkedWriter, lines int) bool {
	file, ok := w.to.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return false
	}
	width, height, err := term.GetSize(int(file.Fd()))
	return err == nil && width > 0 && lines < height
}

// fails reports whether KooDrive fails to answer for a task, by a heartbeat of its stream. Older servers do not name the
// failing tasks.
func fails(id string, h *taskv1.Heartbeat) bool {
	return h.GetFailureCount() > 0 && (len(h.GetFailingTaskIds()) == 0 || slices.Contains(h.GetFailingTaskIds(), id))
}

// health describes the failures of KooDrive for a task. Empty if KooDrive answers.
func health(id string, h *taskv1.Heartbeat) string {
	if !fails(id, h) {
		return ""
	}
	return fmt.Sprintf("KooDrive fails: %s, %d consecutive polls", h.GetFailureReason(), h.GetFailureCount())
}
