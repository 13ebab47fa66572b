package rpcserver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// service is a service for callers, and its implementation in a Config.
type service struct {
	desc *grpc.ServiceDesc
	impl func(Config) any
}

// services are all services for callers. A Server registers exactly these, so each of their calls needs a caller, passes the
// same interceptors, waits for its request, and is logged and counted. Health and reflection, which are open to everybody,
// are not among them.
var services = []service{
	{&taskv1.TaskService_ServiceDesc, func(c Config) any { return c.Service }},
	{&longrunningpb.Operations_ServiceDesc, func(c Config) any { return c.Operations }},
}

// ours reports whether a method belongs to a service for callers, and not to health or reflection.
func ours(fullMethod string) bool {
	name, _ := split(fullMethod)
	return slices.ContainsFunc(services, func(s service) bool { return s.desc.ServiceName == name })
}

// split returns the service's and the method's name of a full method.
func split(fullMethod string) (service, method string) {
	service, method, _ = strings.Cut(strings.TrimPrefix(fullMethod, "/"), "/")
	return service, method
}

// method is a method of a service for callers. One of its handlers is set.
type method struct {
	service *grpc.ServiceDesc
	unary   grpc.MethodHandler
	stream  grpc.StreamHandler
}

// methods are those of the services, by their full names.
var methods = func() map[string]method {
	all := map[string]method{}
	for _, s := range services {
		for _, m := range s.desc.Methods {
			all[fullName(s.desc, m.MethodName)] = method{service: s.desc, unary: m.Handler}
		}
		for _, m := range s.desc.Streams {
			all[fullName(s.desc, m.StreamName)] = method{service: s.desc, stream: m.Handler}
		}
	}
	return all
}()

func fullName(service *grpc.ServiceDesc, method string) string {
	return "/" + service.ServiceName + "/" + method
}

// awaiting returns the description of a service in which the wait for the request of a unary call begins with its handler.
func (c *calls) awaiting(desc *grpc.ServiceDesc) *grpc.ServiceDesc {
	awaiting := *desc
	awaiting.Methods = slices.Clone(desc.Methods)
	for i, m := range desc.Methods {
		fullMethod := fullName(desc, m.MethodName)
		awaiting.Methods[i].Handler = func(
			srv any, ctx context.Context, read func(any) error, interceptor grpc.UnaryServerInterceptor,
		) (any, error) {
			begun := time.Now()
			return m.Handler(srv, ctx, func(into any) error {
				q := requestOf(ctx)
				err := q.read(ctx, func() error { return read(into) })
				if failure, overdue := errors.AsType[*reason.Error](err); overdue { // Interceptors do not run any more.
					call := &call{of: c.metrics.of(unaryCall, fullMethod), start: begun, who: *q.who}
					call.of.started.Inc()
					return c.end(ctx, call, failure)
				}
				return err
			}, interceptor)
		}
	}
	return &awaiting
}
