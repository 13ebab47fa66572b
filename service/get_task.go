package service

import (
	"context"
	"time"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// GetTimeout limits the duration of GetTask, whatever the caller's deadline.
const GetTimeout = 25 * time.Second

// errGetTimeout ends a call that has reached GetTimeout.
var errGetTimeout = &reason.Error{Outcome: reason.UpstreamTimeout}

// GetTask implements TaskService. It blocks for at most GetTimeout; every error is a [*reason.Error].
func (s *Service) GetTask(ctx context.Context, req *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	who, _ := caller.FromContext(ctx)
	q, err := s.ask.Question(who, req.GetTaskId())
	if err != nil {
		return nil, err
	}
	maxAge, err := maxAge(req)
	if err != nil {
		return nil, err
	}
	answer, err := s.get(ctx, q, ask.Wish{MaxAge: maxAge})
	if err != nil {
		return nil, err
	}
	if err := s.failedTask(answer.Value, req.GetFailedTaskAsError()); err != nil {
		return nil, err
	}
	return &taskv1.GetTaskResponse{Task: toTask(answer.Value, answer.Answered)}, nil
}

// get returns the answer to a question: from memory if the wish allows it, and otherwise within GetTimeout.
func (s *Service) get(ctx context.Context, q *ask.Question, wish ask.Wish) (ask.Answer, error) {
	if answer, ok := s.ask.Kept(q, wish); ok {
		return answer, nil
	}
	ctx, cancel := within(ctx, GetTimeout, errGetTimeout)
	defer cancel()
	return s.ask.Get(ctx, q, wish)
}

// maxAge returns the limit on the age of the answer; nil if the request sets none.
func maxAge(req *taskv1.GetTaskRequest) (*time.Duration, error) {
	if req.GetMaxAge() == nil {
		return nil, nil
	}
	if req.GetMaxAge().CheckValid() != nil {
		return nil, reason.Invalid(reason.MaxAgeInvalid, "max_age", reason.Malformed, "Must be a duration, such as 2.5s.")
	}
	age := req.GetMaxAge().AsDuration()
	if age < 0 {
		return nil, reason.Invalid(reason.MaxAgeInvalid, "max_age", reason.OutOfRange, "Must not be negative.")
	}
	return &age, nil
}
