package kootask_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	kootask "github.com/kootask/kootask/clients/go"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

type (
	listStream = grpc.ServerStreamingServer[taskv1.WatchTasksResponse]
	listStep   = func(ids []string, stream listStream) error
)

func (s *scripted) WatchTasks(req *taskv1.WatchTasksRequest, stream listStream) error {
	s.mu.Lock()
	n := len(s.attempts)
	s.attempts = append(s.attempts, time.Since(s.start))
	s.lists = append(s.lists, req.GetTaskIds())
	s.streams++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.streams--
		s.mu.Unlock()
	}()
	if err := stream.SetHeader(metadata.Pairs("x-request-id", "mine")); err != nil {
		return err
	}
	return s.list[min(n, len(s.list)-1)](req.GetTaskIds(), stream)
}

// sizes returns the numbers of ids of the lists, the largest first.
func (s *scripted) sizes() (all []int) {
	for _, ids := range s.lists {
		all = append(all, len(ids))
	}
	slices.Sort(all)
	slices.Reverse(all)
	return all
}

// tell is a step that sends events and then ends with err.
func tell(err error, events ...*taskv1.WatchTasksResponse) listStep {
	return func(_ []string, stream listStream) error {
		for _, e := range events {
			if err := stream.Send(e); err != nil {
				return err
			}
		}
		return err
	}
}

// hang is a step that sends events, and then nothing until the client leaves.
func hang(events ...*taskv1.WatchTasksResponse) listStep {
	return func(ids []string, stream listStream) error {
		if err := tell(nil, events...)(ids, stream); err != nil {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
}

// each is a step that sends an event for each task of the list.
func each(event func(id string) *taskv1.WatchTasksResponse) listStep {
	return func(ids []string, stream listStream) error {
		for _, id := range ids {
			if err := stream.Send(event(id)); err != nil {
				return err
			}
		}
		return nil
	}
}

func task(id string, status taskv1.TaskStatus) *taskv1.WatchTasksResponse {
	return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Task{Task: &taskv1.Task{
		TaskId: id, Status: status, Done: status == success || status == failed, ObserveTime: timestamppb.Now(),
	}}}
}

func beat(failing ...string) *taskv1.WatchTasksResponse {
	return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Heartbeat{Heartbeat: &taskv1.Heartbeat{
		FailureCount: int32(len(failing)), FailingTaskIds: failing,
	}}}
}

// drop is the end of one task. A negative delay means that a retry does not help.
func drop(id string, delay time.Duration) *taskv1.WatchTasksResponse {
	d := &taskv1.DroppedTask{
		TaskId: id, Code: int32(codes.NotFound), Reason: "TASK_NOT_FOUND", Message: "No such task.", LocalizedMessage: "不行",
		Metadata: map[string]string{"upstreamCode": "13000309"},
	}
	if delay >= 0 {
		d.Code, d.Reason, d.RetryDelay = int32(codes.Unavailable), "UPSTREAM_STALE", durationpb.New(delay)
	}
	return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Dropped{Dropped: d}}
}

// numbered returns n ids.
func numbered(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(1000+i))
	}
	return ids
}

// watchAll collects the events of a list, as text, and the error, which must come last.
func watchAll(ctx context.Context, c *kootask.Client, ids []string, options ...kootask.Option) (all []string, last error) {
	for event, err := range c.WatchAll(ctx, ids, options...) {
		switch {
		case last != nil:
			return append(all, "an event after the error"), last
		case err != nil:
			last = err
		case event.Task != nil:
			all = append(all, event.Task.GetTaskId()+" "+strings.TrimPrefix(event.Task.GetStatus().String(), "TASK_STATUS_"))
		case event.Dropped != nil:
			all = append(all, fmt.Sprintf("%s dropped, retry %t", event.Dropped.TaskID, event.Dropped.Retry))
		case event.Resume != nil:
			all = append(all, fmt.Sprintf("resume of %v", event.TaskIDs))
		default:
			all = append(all, fmt.Sprintf("heartbeat of %v, failing %v", event.TaskIDs, event.Heartbeat.GetFailingTaskIds()))
		}
	}
	return all, last
}
