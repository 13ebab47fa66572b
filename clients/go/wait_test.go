package kootask_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// The scripted server does not implement WaitTask, so a wait that called it would fail.
func TestWait(t *testing.T) {
	drain := end(codes.Unavailable, "SERVER_DRAINING", time.Second)
	missing := end(codes.NotFound, "TASK_NOT_FOUND", -1)
	for name, row := range map[string]struct {
		watch   []func(stream) error
		options []kootask.Option
		want    taskv1.TaskStatus
		reason  string
	}{
		"finished":         {watch: []func(stream) error{say(nil, created, executing, success)}, want: success},
		"after a drain":    {watch: []func(stream) error{say(drain, created), say(nil, success)}, want: success},
		"failed":           {watch: []func(stream) error{say(nil, failed)}, want: failed},
		"failed, an error": {watch: []func(stream) error{say(end(codes.Aborted, "TASK_FAILED", -1), failed)}, options: []kootask.Option{kootask.FailedTaskAsError()}, reason: "TASK_FAILED"},
		"missing":          {watch: []func(stream) error{say(missing)}, reason: "TASK_NOT_FOUND"},
		"disappeared":      {watch: []func(stream) error{say(missing, executing)}, reason: "TASK_NOT_FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, &scripted{watch: row.watch}, func(t *testing.T, c *kootask.Client) {
				task, err := c.Wait(t.Context(), "9", row.options...)
				var failure *kootask.Error
				if row.reason != "" {
					if !errors.As(err, &failure) || failure.Reason != row.reason || task != nil {
						t.Errorf("%v, %v", task, err)
					}
				} else if err != nil || task.GetStatus() != row.want {
					t.Errorf("%v, %v", task, err)
				}
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := &scripted{watch: []func(stream) error{say(end(codes.Unavailable, "SERVER_DRAINING", time.Hour), executing)}}
	bubble(t, s, func(t *testing.T, c *kootask.Client) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if task, err := c.Wait(ctx, "9"); task != nil || !errors.Is(err, context.DeadlineExceeded) || time.Since(s.start) != time.Minute {
			t.Errorf("%v, %v after %v", task, err, time.Since(s.start))
		}
	})
}
