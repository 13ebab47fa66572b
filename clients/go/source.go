package kootask

import (
	"context"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

const (
	// perStream is the contract's limit on the tasks of a stream.
	perStream = 100
	// requestHeader has the id of the request.
	requestHeader = "x-request-id"
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

// several opens a stream of up to [perStream] tasks.
func (c *Client) several(ctx context.Context, ids []string) (receiver, error) {
	stream, err := c.tasks.WatchTasks(ctx, &taskv1.WatchTasksRequest{TaskIds: ids})
	if err != nil {
		return nil, err
	}
	return func() (string, Event, error) {
		m, err := stream.Recv()
		if dropped := m.GetDropped(); dropped != nil {
			header, _ := stream.Header() // It has come before the message.
			return dropped.GetTaskId(), Event{Dropped: droppedError(dropped, header)}, nil
		}
		return m.GetTask().GetTaskId(), Event{Task: m.GetTask(), Heartbeat: m.GetHeartbeat()}, err
	}, nil
}

// droppedError returns the error of a task that was dropped from a stream with this header.
func droppedError(d *taskv1.DroppedTask, header metadata.MD) *Error {
	e := &Error{
		Code: codes.Code(d.GetCode()), Reason: d.GetReason(), TaskID: d.GetTaskId(),
		Message: d.GetMessage(), LocalizedMessage: d.GetLocalizedMessage(), Metadata: d.GetMetadata(),
		Retry: d.GetRetryDelay() != nil, RetryAfter: d.GetRetryDelay().AsDuration(),
	}
	if id := header.Get(requestHeader); len(id) > 0 {
		e.RequestID = id[0]
	}
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: e.Reason, Domain: domain, Metadata: e.Metadata},
		&errdetails.RequestInfo{RequestId: e.RequestID},
	}
	if e.Retry {
		details = append(details, &errdetails.RetryInfo{RetryDelay: d.GetRetryDelay()})
	}
	e.status = status.New(e.Code, e.Message)
	if detailed, err := e.status.WithDetails(details...); err == nil { // As a call for this task alone would fail.
		e.status = detailed
	}
	return e
}
