package server_test

import (
	"testing"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

func (s *system) operations() longrunningpb.OperationsClient {
	return longrunningpb.NewOperationsClient(s.conn)
}

// operationOf asks for the operation of a task.
func operationOf(id string) *longrunningpb.GetOperationRequest {
	return &longrunningpb.GetOperationRequest{Name: "operations/" + id}
}

// operation returns the operation of a task.
func (s *system) operation(t *testing.T, id string, pairs ...string) *longrunningpb.Operation {
	t.Helper()
	o, err := s.operations().GetOperation(as(t.Context(), token, pairs...), operationOf(id))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// taskIn returns the task in the metadata or the response of an operation.
func taskIn(t *testing.T, packed *anypb.Any) *taskv1.Task {
	t.Helper()
	task := &taskv1.Task{}
	if err := packed.UnmarshalTo(task); err != nil {
		t.Fatalf("%v: %v", packed, err)
	}
	return task
}

// listed returns the services that reflection lists.
func (s *system) listed(t *testing.T) (names []string) {
	t.Helper()
	stream, err := reflectionv1.NewServerReflectionClient(s.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
	if err := stream.Send(list); err != nil {
		t.Fatal(err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.CloseSend()
	for _, service := range answer.GetListServicesResponse().GetService() {
		names = append(names, service.GetName())
	}
	return names
}

// invoke makes a call of any method, with an empty request, which must fail.
func (s *system) invoke(t *testing.T, method string, c call) verdict {
	t.Helper()
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs(c.header...))
	stream, err := s.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.SendMsg(&emptypb.Empty{})
	_ = stream.CloseSend()
	return read(t, status.Convert(stream.RecvMsg(&emptypb.Empty{})))
}
