package service

import (
	"context"
	"time"

	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/watch"
	"github.com/kootask/kootask/upstream"
)

// WatchTask implements TaskService.
func (s *Service) WatchTask(
	req *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse],
) error {
	ctx := stream.Context()
	q, err := s.query(ctx, req)
	if err != nil {
		return err
	}
	sub := s.hub.Subscribe(s.upstream.Key(q), s.poll(q))
	defer sub.Close()

	opened := false
	silence := time.NewTimer(FirstMessage)
	defer silence.Stop()
	for {
		silent := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-sub.Wake():
		case <-silence.C:
			silent = true
		}
		var event *taskv1.WatchTaskResponse
		state, unseen := sub.Next()
		switch {
		case unseen:
			event = taskEvent(state)
		case state.Ended && state.Err != nil:
			return s.outcome(state.Err)
		case state.Err != nil && !opened: // KooDrive's first verdict is the call's.
			return s.outcome(state.Err)
		case silent:
			event = s.heartbeatEvent(state)
		default:
			continue
		}
		if err := stream.Send(event); err != nil {
			return err
		}
		opened = true
		silence.Reset(s.heartbeat)
		if state.Ended {
			if state.Err != nil {
				return s.outcome(state.Err)
			}
			return failedTask(state.Value, req)
		}
	}
}

// poll returns how the hub asks for a task. It may get the answer to somebody's GetTask, and a finished task from
// memory.
func (s *Service) poll(q upstream.Query) watch.Poll[upstream.Task] {
	q.Trace = upstream.TraceID{} // A poll serves many watches: it belongs to the trace of none.
	key := s.upstream.Key(q)
	return func(ctx context.Context) (watch.Answer[upstream.Task], error) {
		seen, err := s.observer.Get(ctx, key, nil, s.ask(q))
		return watch.Answer[upstream.Task]{Value: seen.Value, At: seen.Answered}, err
	}
}

func taskEvent(state watch.State[upstream.Task]) *taskv1.WatchTaskResponse {
	return &taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: toTask(state.Value, state.At)}}
}

// heartbeatEvent says how KooDrive does. The task of state is the one that was sent last.
func (s *Service) heartbeatEvent(state watch.State[upstream.Task]) *taskv1.WatchTaskResponse {
	heartbeat := &taskv1.Heartbeat{FailureCount: int32(state.Failures)}
	if state.Revision > 0 {
		heartbeat.ObserveTime = toTime(state.At)
	}
	if state.Err != nil {
		heartbeat.FailureReason = s.outcome(state.Err).Reason()
	}
	return &taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Heartbeat{Heartbeat: heartbeat}}
}
