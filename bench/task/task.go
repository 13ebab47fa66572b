// Package task is the payload of every program in this module: one task of KooDrive, with a version in its name. All
// servers send the same bytes, so that they are compared by their work, and every driver finds a version in any encoding.
package task

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// ID is the task that all watchers of one task watch.
const ID = "t1"

// The fields that are the same in all tasks.
const (
	Tenant = "tenant-0001"
	User   = "user-000042"
)

// Token returns the text that stands in the name of a task of a version, and of no other.
func Token(version int) string { return fmt.Sprintf("copy-v%06d.", version) }

// New returns the task of a version as kootask sends it, with a name that is longer by pad bytes. It is finished if done.
func New(id string, version, pad int, done bool) *taskv1.Task {
	state, koodrive := taskv1.TaskStatus_TASK_STATUS_EXECUTING, int32(1)
	if done {
		state, koodrive = taskv1.TaskStatus_TASK_STATUS_SUCCESS, 2
	}
	return &taskv1.Task{
		TaskId: id, TaskName: Token(version) + strings.Repeat("x", pad), TenantId: Tenant, UserId: User,
		TaskType: taskv1.TaskType_TASK_TYPE_TRANSFER_AND_DELETION, KoodriveTaskType: proto.Int32(0),
		Status: state, KoodriveStatus: proto.Int32(koodrive), Done: done,
		ObserveTime: timestamppb.New(time.Now().Truncate(time.Millisecond)),
	}
}

// JSON returns the JSON form of a task, as kootask's REST answers have it.
func JSON(t *taskv1.Task) ([]byte, error) {
	return protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(t)
}

// Event returns the server-sent event of a task.
func Event(t *taskv1.Task) ([]byte, error) {
	data, err := JSON(t)
	return fmt.Appendf(nil, "event: task\ndata: %s\n\n", data), err
}

// Body returns KooDrive's answer about a task.
func Body(id string, version, pad, status int) []byte {
	const body = `{"taskId":%q,"taskName":"%s%s","taskType":0,"tenantId":%q,"userId":%q,"status":%d,"code":0,"msg":"Success."}`
	return fmt.Appendf(nil, body, id, Token(version), strings.Repeat("x", pad), Tenant, User, status)
}
