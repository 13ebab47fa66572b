package main

import (
	"cmp"
	"encoding/json"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// step is the stub's next step in a call: it has one of these keys. After the last step, the call ends with OK.
type step struct {
	// Task and Heartbeat are sent; a task gets the current observe_time. Newer is an event of a kind that clients do
	// not know.
	Task      json.RawMessage
	Heartbeat json.RawMessage
	Newer     *struct{}
	// Each is a task without its id, sent for each id of the request. Dropped is sent. Only WatchTasks can send them.
	Each    json.RawMessage
	Dropped *stubDropped
	// Calls waits until the stub has got this number of calls.
	Calls int
	// Failure ends the call.
	Failure *stubFailure
	// Cut closes the connection, and the given number of subsequent ones. Silence sends nothing until the client gives
	// up.
	Cut     *int
	Silence *struct{}
}

// stubFailure is an error. Without a reason it has no details, like an error of a proxy.
type stubFailure struct {
	Code             string
	Domain           string // Empty: kootask's.
	Reason           string
	RetryAfter       *float64
	Metadata         map[string]string
	Violations       []violation
	LocalizedMessage string
}

// stubDropped is a task that is dropped, with the error of its watch. Domain and Violations are not used.
type stubDropped struct {
	TaskID string
	stubFailure
}

// events returns the events that a step sends in a call with these ids.
func (s step) events(ids []string) (all []*taskv1.WatchTasksResponse, err error) {
	switch {
	case s.Task != nil:
		task, err := taskEvent(s.Task)
		return append(all, task), err
	case s.Each != nil:
		for _, id := range ids {
			task, err := taskEvent(s.Each)
			if err != nil {
				return nil, err
			}
			task.GetTask().TaskId = id
			all = append(all, task)
		}
		return all, nil
	case s.Heartbeat != nil:
		heartbeat := &taskv1.Heartbeat{}
		err := protojson.Unmarshal(s.Heartbeat, heartbeat)
		return append(all, &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Heartbeat{Heartbeat: heartbeat}}), err
	case s.Dropped != nil:
		dropped := &taskv1.WatchTasksResponse_Dropped{Dropped: s.Dropped.message()}
		return append(all, &taskv1.WatchTasksResponse{Event: dropped}), nil
	default:
		return append(all, &taskv1.WatchTasksResponse{}), nil
	}
}

func taskEvent(text json.RawMessage) (*taskv1.WatchTasksResponse, error) {
	task := &taskv1.Task{}
	err := protojson.Unmarshal(text, task)
	task.ObserveTime = timestamppb.Now()
	return &taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Task{Task: task}}, err
}

// The common parts of the stub's errors.
const (
	stubMessage   = "The stub says so."
	stubRequestID = "request-1"
)

func (d *stubDropped) message() *taskv1.DroppedTask {
	return &taskv1.DroppedTask{
		TaskId: d.TaskID, Code: code.Code_value[d.Code], Reason: d.Reason, Metadata: d.Metadata,
		Message: stubMessage, LocalizedMessage: d.LocalizedMessage, RetryDelay: d.retryDelay(),
	}
}

// retryDelay returns RetryAfter; nil without one.
func (f *stubFailure) retryDelay() *durationpb.Duration {
	if f.RetryAfter == nil {
		return nil
	}
	return durationpb.New(time.Duration(*f.RetryAfter * float64(time.Second)))
}

func (f *stubFailure) err() error {
	st := status.New(codes.Code(code.Code_value[f.Code]), stubMessage)
	if f.Reason == "" {
		return st.Err()
	}
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Domain: cmp.Or(f.Domain, "koodrive.task.v1"), Reason: f.Reason, Metadata: f.Metadata},
	}
	if f.Domain == "" {
		details = append(details, &errdetails.RequestInfo{RequestId: stubRequestID})
	}
	if delay := f.retryDelay(); delay != nil {
		details = append(details, &errdetails.RetryInfo{RetryDelay: delay})
	}
	if len(f.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range f.Violations {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.Field, Reason: v.Reason, Description: v.Description,
			})
		}
		details = append(details, bad)
	}
	if f.LocalizedMessage != "" {
		details = append(details, &errdetails.LocalizedMessage{Locale: "zh-CN", Message: f.LocalizedMessage})
	}
	st, err := st.WithDetails(details...)
	if err != nil {
		return err
	}
	return st.Err()
}
