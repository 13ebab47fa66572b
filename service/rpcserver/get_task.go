package rpcserver

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// taskService describes TaskService to gRPC, with getTask in place of the generated handler. A GetTask from memory is so
// short that a context which ends an overdue request would be a twentieth of its cost.
func (c *calls) taskService() *grpc.ServiceDesc {
	desc := taskv1.TaskService_ServiceDesc
	desc.Methods = slices.Clone(desc.Methods)
	for i := range desc.Methods {
		if "/"+desc.ServiceName+"/"+desc.Methods[i].MethodName == taskv1.TaskService_GetTask_FullMethodName {
			desc.Methods[i].Handler = c.getTask
		}
	}
	return &desc
}

// getTask reads the request and calls the service, as the generated handler does.
func (c *calls) getTask(srv any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	requestOf(ctx).await(grpc.ServerTransportStreamFromContext(ctx))
	req := new(taskv1.GetTaskRequest)
	if err := read(req); err != nil {
		return nil, err
	}
	info := grpc.UnaryServerInfo{Server: srv, FullMethod: taskv1.TaskService_GetTask_FullMethodName}
	return c.unary(ctx, req, &info, func(ctx context.Context, _ any) (any, error) {
		return srv.(taskv1.TaskServiceServer).GetTask(ctx, req)
	})
}

// finisher is a stream of gRPC's. WriteStatus ends the stream and what reads from it.
type finisher interface {
	WriteStatus(s *status.Status) error
}

// await begins the wait for a request. If it is overdue, the call ends as if its context had been cancelled.
func (q *request) await(stream grpc.ServerTransportStream) {
	q.stream, _ = stream.(finisher)
	q.all.mu.Lock()
	defer q.all.mu.Unlock()
	q.all.waitLocked(q)
}

// end ends a call whose request is overdue. It does not block: gRPC calls the tap with a lock held that WriteStatus may
// need.
func (q *request) end(cause error) {
	switch {
	case q.cancel != nil:
		q.cancel(cause)
	case q.stream != nil:
		go func() { _ = q.stream.WriteStatus(status.FromContextError(context.Canceled)) }()
	}
}
