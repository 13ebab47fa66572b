package kootask

import (
	"context"
	"iter"
	"time"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// Event is an event of a watch. Exactly one field is set, besides TaskIDs.
type Event struct {
	// Task is the task as it is now, then after each change.
	Task *taskv1.Task
	// Heartbeat reports that no change is known, and whether KooDrive answers.
	Heartbeat *taskv1.Heartbeat
	// Resume reports that the watch was interrupted and will resume by itself.
	Resume *Resume
	// Dropped is the error, with its TaskID, of a task whose watch ended before the task was finished. The other tasks
	// are still watched. With Retry, this task is watched again, after RetryAfter. Only WatchAll yields it.
	Dropped *Error
	// TaskIDs are the ids of the tasks that a Heartbeat or Resume is about. Nil for other events.
	TaskIDs []string
}

// Resume is an interruption of a watch.
type Resume struct {
	// Cause is the error that ended the stream.
	Cause *Error
	// After is the time until the watch resumes.
	After time.Duration
}

// Watch yields the task as it is now, then again after each change, until it is finished. It never yields a state twice
// in a row or an older state, and yields the finished task last. It resumes and ends like [Client.Events].
func (c *Client) Watch(ctx context.Context, id string, options ...Option) iter.Seq2[*taskv1.Task, error] {
	return func(yield func(*taskv1.Task, error) bool) {
		for event, err := range c.Events(ctx, id, options...) {
			if (err != nil || event.Task != nil) && !yield(event.Task, err) {
				return
			}
		}
	}
}

// Wait returns the task once it is finished. It watches the task, so it resumes and ends like [Client.Events]. A failed
// task is a value, unless the option [FailedTaskAsError] is set. To limit the wait, give ctx a deadline.
func (c *Client) Wait(ctx context.Context, id string, options ...Option) (*taskv1.Task, error) {
	var last *taskv1.Task
	for task, err := range c.Watch(ctx, id, options...) {
		if err != nil {
			return nil, err
		}
		last = task
	}
	return last, nil
}

// Events yields every event of a watch. The sequence ends after the finished task, or with an [*Error], which comes
// last.
//
// Until ctx or the Client ends, the watch resumes in two cases: after an error with Retry, when RetryAfter has passed;
// and when the connection breaks or is silent for 20 s. It ends on any other error. Until kootask has answered the
// Client once, it also ends if no connection can be made, or when the fifth stream breaks.
//
// When the caller's token expires, the stream ends with the reason CALLER_UNAUTHENTICATED. The watch then resumes if
// [Config.CallerToken] returns a new token, unless the stream ended before its first message.
func (c *Client) Events(ctx context.Context, id string, options ...Option) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		ctx, o, leave := c.beginWatch(ctx, options)
		defer leave()
		w := &watcher{
			client: c, open: c.one(o.failedTaskAsError), yield: c.explained(ctx, yield),
			failedTaskAsError: o.failedTaskAsError, tasks: []*watched{{id: id}},
		}
		w.run(ctx)
	}
}

// beginWatch returns the context and the options of a watch. The context ends with ctx, the Client or leave.
func (c *Client) beginWatch(ctx context.Context, options []Option) (watchCtx context.Context, o call, leave func()) {
	ctx, o = c.begin(ctx, options)
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.closed, cancel)
	return ctx, o, func() {
		stop()
		cancel()
	}
}
