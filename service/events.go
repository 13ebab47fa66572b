package service

import (
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// The messages of both streams are WatchTasksResponse. WatchTaskResponse has fewer fields, with the same numbers and types:
// it looks the same to clients, so one encoding serves both.

// shown holds the messages of a state, which all its watchers share.
type shown struct {
	once            [2]sync.Once
	task, heartbeat *message.Message
}

func shownOf(state *watch.State[upstream.Task]) *shown {
	return state.Memo.Do(func() any { return &shown{} }).(*shown)
}

// taskEvent returns the message with the task of a state.
func taskEvent(state *watch.State[upstream.Task]) *message.Message {
	shown := shownOf(state)
	shown.once[0].Do(func() {
		shown.task = message.New(&taskv1.WatchTasksResponse{
			Event: &taskv1.WatchTasksResponse_Task{Task: toTask(state.Value, state.At)},
		})
	})
	return shown.task
}

// confirmingHeartbeat returns the heartbeat of a watch of one task that was sent the state's task.
func confirmingHeartbeat(taskID string, state *watch.State[upstream.Task]) *message.Message {
	shown := shownOf(state)
	shown.once[1].Do(func() { shown.heartbeat = heartbeatEvent(heartbeatOf(taskID, state, state.At)) })
	return shown.heartbeat
}

// heartbeatOf returns the heartbeat of one task that was last confirmed at a time; zero: never.
func heartbeatOf(taskID string, state *watch.State[upstream.Task], confirmed time.Time) *taskv1.Heartbeat {
	beat := &taskv1.Heartbeat{FailureCount: int32(state.Failures)}
	if !confirmed.IsZero() {
		beat.ObserveTime = toTime(confirmed)
	}
	if state.Err != nil {
		beat.FailureReason = reason.Of(state.Err).Reason()
		beat.FailingTaskIds = []string{taskID}
	}
	return beat
}

func heartbeatEvent(beat *taskv1.Heartbeat) *message.Message {
	return message.New(&taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Heartbeat{Heartbeat: beat}})
}

// droppedEvent returns the event of a task whose watch has ended with an error.
func droppedEvent(taskID string, end *status.Status) *taskv1.WatchTasksResponse {
	event := &taskv1.DroppedTask{TaskId: taskID, Code: int32(end.Code()), Message: end.Message()}
	for _, detail := range end.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			event.Reason, event.Metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.RetryInfo:
			event.RetryDelay = d.GetRetryDelay()
		case *errdetails.LocalizedMessage:
			event.LocalizedMessage = d.GetMessage()
		}
	}
	return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Dropped{Dropped: event}}
}
