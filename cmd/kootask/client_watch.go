package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/term"

	kootask "github.com/kootask/kootask/clients/go"
)

// watchCommand shows tasks until they are finished.
type watchCommand struct {
	clientFlags
	IDs []string `arg:"" name:"id" help:"Ids of the tasks."`
}

// Help is shown below the command's help.
func (watchCommand) Help() string {
	return "Exit codes: 0 all tasks have succeeded; 3 one has failed; 4 one is not found; " +
		"5 the credential or the caller is refused; 2 usage; 130 interrupted; 1 anything else. " +
		"If several apply, the first of 130, 1, 5, 4, 3."
}

// view shows the events of the watched tasks. Its methods are called one at a time.
type view interface {
	// event is called for each event.
	event(id string, e kootask.Event)
	// end is called at the end of a watch. err is nil if the task is finished; otherwise why explains err.
	end(id string, err error, why string)
	// close is called when all watches have ended.
	close()
}

// Run watches until all tasks are finished.
func (c *watchCommand) Run(ctx context.Context, out output) error {
	var ids []string
	for _, id := range c.IDs {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	client, err := c.connect(ids...)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()

	show := c.view(out, ids)
	var mu sync.Mutex // Guards show and all.
	var all []int
	var watches sync.WaitGroup
	for _, id := range ids {
		watches.Go(func() {
			var last kootask.Event
			var failure error
			for event, err := range client.Events(ctx, id) {
				if failure = err; err != nil {
					break
				}
				if event.Task != nil {
					last = event
				}
				mu.Lock()
				show.event(id, event)
				mu.Unlock()
			}
			why := ""
			if failure != nil {
				why = client.explain(failure)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, codeOf(last.Task, failure))
			show.end(id, failure, why)
		})
	}
	watches.Wait()
	show.close()
	return worst(all)
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

// health describes the failures of KooDrive in a heartbeat. Empty if KooDrive answers.
func health(e kootask.Event) string {
	if n := e.Heartbeat.GetFailureCount(); n > 0 {
		return fmt.Sprintf("KooDrive fails: %s, %d consecutive polls", e.Heartbeat.GetFailureReason(), n)
	}
	return ""
}
