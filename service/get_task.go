package service

import (
	"context"
	"errors"
	"time"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/observe"
	"github.com/kootask/kootask/service/reason"
)

// errGetTimeout is the end of a call that took as long as one may.
var errGetTimeout = &reason.Error{Outcome: reason.UpstreamTimeout}

// GetTask implements TaskService.
func (s *Service) GetTask(ctx context.Context, req *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	q, err := s.query(ctx, req)
	if err != nil {
		return nil, err
	}
	maxAge, err := maxAge(req)
	if err != nil {
		return nil, err
	}
	q.Resend = true
	ctx, cancel := within(ctx, GetTimeout, errGetTimeout)
	defer cancel()
	_, answered, err := s.admit(q, 0)
	if err != nil {
		return nil, err
	}
	defer answered()
	seen, err := s.observer.Get(ctx, q.key, observe.Wish{MaxAge: maxAge, Patience: Patience}, s.askTwice(q))
	if errors.Is(err, observe.ErrNotBegun) {
		return nil, s.notBegun(q)
	}
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, s.outcome(err)
	}
	s.metrics.observed(seen.Source)
	if err := failedTask(seen.Value, req); err != nil {
		return nil, err
	}
	return &taskv1.GetTaskResponse{Task: toTask(seen.Value, seen.Answered)}, nil
}

// maxAge returns the age that the answer may have, nil if the request does not limit it.
func maxAge(req *taskv1.GetTaskRequest) (*time.Duration, error) {
	if req.GetMaxAge() == nil {
		return nil, nil
	}
	if req.GetMaxAge().CheckValid() != nil {
		return nil, reason.Invalid(reason.MaxAgeInvalid, "max_age", reason.Malformed, "Not a valid duration.")
	}
	age := req.GetMaxAge().AsDuration()
	if age < 0 {
		return nil, reason.Invalid(reason.MaxAgeInvalid, "max_age", reason.OutOfRange, "Must not be negative.")
	}
	return &age, nil
}
