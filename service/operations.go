package service

import (
	"context"
	"slices"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/taskid"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// Operations returns google.longrunning.Operations over the tasks of s, for the waiters of Google's libraries. Like s, it is
// safe for concurrent use, and its errors are [*reason.Error].
//
// The operation of a task is named operations/{task_id}. Its metadata is always the task, as koodrive.task.v1.Task. Once the
// task is finished, done is set. The response is then the task again. If the task has failed, the operation has an error
// instead: the status with which a GetTask with failed_task_as_error fails.
//
// A call fails as those of TaskService do, with the field name in place of task_id. Its error is not the operation's: it says
// nothing about the task.
func (s *Service) Operations() longrunningpb.OperationsServer { return &operations{s} }

// operations implements google.longrunning.Operations.
type operations struct{ service *Service }

// GetOperation returns the operation. Clients repeat the call at intervals of their own until the operation is done. So it
// may be answered from an observation that is not older than Config.PollMin, and any number of clients cost KooDrive at most
// as much as the fastest watch. Otherwise it has the limits of GetTask. It blocks for at most GetTimeout.
func (o *operations) GetOperation(
	ctx context.Context, req *longrunningpb.GetOperationRequest,
) (*longrunningpb.Operation, error) {
	who, _ := caller.FromContext(ctx)
	id, err := taskIDOf(req.GetName())
	if err != nil {
		return nil, err
	}
	q, err := o.service.ask.Question(who, id)
	if err != nil {
		return nil, named(err)
	}
	answer, err := o.service.get(ctx, q, ask.Wish{Recent: o.service.pollMin})
	if err != nil {
		return nil, named(err)
	}
	return o.operation(req.GetName(), toTask(answer.Value, answer.Answered), who)
}

// WaitOperation returns the operation once it is done, or as it is when the wait is over. It is WaitTask, with the same
// timeout.
func (o *operations) WaitOperation(
	ctx context.Context, req *longrunningpb.WaitOperationRequest,
) (*longrunningpb.Operation, error) {
	who, _ := caller.FromContext(ctx)
	id, err := taskIDOf(req.GetName())
	if err != nil {
		return nil, err
	}
	resp, err := o.service.WaitTask(ctx, &taskv1.WaitTaskRequest{TaskId: id, Timeout: req.GetTimeout()})
	if err != nil {
		return nil, named(err)
	}
	return o.operation(req.GetName(), resp.GetTask(), who)
}

// errNoMethod refuses the methods that have no equivalent in KooDrive: a task cannot be listed, cancelled or deleted.
var errNoMethod = &reason.Error{Outcome: reason.MethodNotAllowed}

// ListOperations fails with METHOD_NOT_ALLOWED.
func (o *operations) ListOperations(
	context.Context, *longrunningpb.ListOperationsRequest,
) (*longrunningpb.ListOperationsResponse, error) {
	return nil, errNoMethod
}

// CancelOperation fails with METHOD_NOT_ALLOWED.
func (o *operations) CancelOperation(context.Context, *longrunningpb.CancelOperationRequest) (*emptypb.Empty, error) {
	return nil, errNoMethod
}

// DeleteOperation fails with METHOD_NOT_ALLOWED.
func (o *operations) DeleteOperation(context.Context, *longrunningpb.DeleteOperationRequest) (*emptypb.Empty, error) {
	return nil, errNoMethod
}

// operation returns the operation of a task, in the language of the caller.
func (o *operations) operation(name string, task *taskv1.Task, who *caller.Caller) (*longrunningpb.Operation, error) {
	packed, err := anypb.New(task)
	if err != nil {
		return nil, err
	}
	op := &longrunningpb.Operation{Name: name, Metadata: packed, Done: task.GetDone()}
	switch {
	case task.GetStatus() == taskv1.TaskStatus_TASK_STATUS_FAILED:
		failure := o.service.taskFailed(task.GetTaskId(), task.GetKoodriveResultCode())
		op.Result = &longrunningpb.Operation_Error{Error: failure.Status(who.RequestID, who.Language).Proto()}
	case task.GetDone():
		op.Result = &longrunningpb.Operation_Response{Response: packed}
	}
	return op, nil
}

// fieldName is the request field with the operation's name.
const fieldName = "name"

// taskIDOf returns the task id in the name of an operation. It does not check the id.
func taskIDOf(name string) (string, error) {
	id, ok := taskid.OfOperation(name)
	if ok {
		return id, nil
	}
	why := reason.Malformed
	if name == "" {
		why = reason.Missing
	}
	return "", reason.Invalid(reason.TaskIDInvalid, fieldName, why, "Must be operations/ and a task id.")
}

// named returns the error of a call for a task as that of a call for its operation. The error of a request to KooDrive belongs
// to other calls too, so it is not changed.
func named(err error) error {
	e := *reason.Of(err)
	e.Violations = slices.Clone(e.Violations)
	for i, v := range e.Violations {
		if v.Field == ask.FieldTaskID {
			e.Violations[i].Field = fieldName
			e.Violations[i].Description = "The task id after operations/ is invalid. " + v.Description
		}
	}
	return &e
}
