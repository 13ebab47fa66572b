package kootask

import (
	"context"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// source opens a stream of the tasks with these ids. It may block on a busy connection.
//
// receive blocks until the next event, and returns it with the id of its task. An event that is newer than the contract
// is empty.
type source func(ctx context.Context, ids []string) (receive receiver, err error)

type receiver func() (id string, event Event, err error)

// one opens a stream of a single task. It calls WatchTask, which servers without WatchTasks have too.
func (c *Client) one(failedTaskAsError bool) source {
	return func(ctx context.Context, ids []string) (receiver, error) {
		stream, err := c.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: ids[0], FailedTaskAsError: failedTaskAsError})
		if err != nil {
			return nil, err
		}
		return func() (string, Event, error) {
			m, err := stream.Recv()
			return ids[0], Event{Task: m.GetTask(), Heartbeat: m.GetHeartbeat()}, err
		}, nil
	}
}
