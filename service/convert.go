package service

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream"
)

// toTask converts t. A number that the contract does not list becomes UNSPECIFIED; the koodrive_ fields keep the number
// that KooDrive sent.
func toTask(t upstream.Task, at time.Time) *taskv1.Task {
	status := t.SentStatus // A pointer into t would keep all of it.
	return &taskv1.Task{
		TaskId:             t.ID,
		TaskName:           t.Name,
		TaskType:           toType(t.Type),
		TenantId:           t.TenantID,
		UserId:             t.UserID,
		Status:             toStatus(t.Status),
		ResultCode:         toResultCode(t.ResultCode),
		ObserveTime:        toTime(at),
		KoodriveStatus:     &status,
		KoodriveTaskType:   t.SentType,
		KoodriveResultCode: t.ResultCode,
		Done:               done(t),
	}
}

func toStatus(status int32) taskv1.TaskStatus {
	switch status {
	case upstream.StatusNew:
		return taskv1.TaskStatus_TASK_STATUS_NEW
	case upstream.StatusExecuting:
		return taskv1.TaskStatus_TASK_STATUS_EXECUTING
	case upstream.StatusSuccess:
		return taskv1.TaskStatus_TASK_STATUS_SUCCESS
	case upstream.StatusFailed:
		return taskv1.TaskStatus_TASK_STATUS_FAILED
	}
	return taskv1.TaskStatus_TASK_STATUS_UNSPECIFIED
}

func toType(taskType *int32) taskv1.TaskType {
	if taskType != nil {
		switch *taskType {
		case upstream.TypeTransferAndDeletion:
			return taskv1.TaskType_TASK_TYPE_TRANSFER_AND_DELETION
		case upstream.TypeBatchImport:
			return taskv1.TaskType_TASK_TYPE_BATCH_IMPORT
		}
	}
	return taskv1.TaskType_TASK_TYPE_UNSPECIFIED
}

// toResultCode converts by number: the contract's enum has KooDrive's codes.
func toResultCode(code string) taskv1.ResultCode {
	if code == "" { // Parsing it would allocate an error.
		return taskv1.ResultCode_RESULT_CODE_UNSPECIFIED
	}
	n, err := strconv.ParseInt(code, 10, 32)
	if _, listed := taskv1.ResultCode_name[int32(n)]; err != nil || !listed {
		return taskv1.ResultCode_RESULT_CODE_UNSPECIFIED
	}
	return taskv1.ResultCode(n)
}

// toTime truncates t to milliseconds: the time of an answer is not known more precisely.
func toTime(t time.Time) *timestamppb.Timestamp {
	return timestamppb.New(t.Truncate(time.Millisecond))
}

// done reports whether t can no longer change.
func done(t upstream.Task) bool {
	return t.Status == upstream.StatusSuccess || t.Status == upstream.StatusFailed
}

// rank orders states: a task's rank never falls. A status that KooDrive does not document ranks as executing.
func rank(t upstream.Task) int {
	switch {
	case t.Status == upstream.StatusNew:
		return 0
	case done(t):
		return 2
	default:
		return 1
	}
}

// same reports whether a and b look alike to a watcher.
func same(a, b upstream.Task) bool {
	if !sameNumber(a.SentType, b.SentType) { // Type follows from it.
		return false
	}
	a.SentType, b.SentType, a.Type, b.Type = nil, nil, nil, nil
	return a == b
}

// sameNumber reports whether both numbers are absent or the same.
func sameNumber(a, b *int32) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
