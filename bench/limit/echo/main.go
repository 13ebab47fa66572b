// Command echo is the limit of a GetTask from memory, ECHO: bare grpc-go, and a map.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/bench/task"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

type echo struct {
	taskv1.UnimplementedTaskServiceServer
	tasks sync.Map // From the id to *taskv1.GetTaskResponse.
}

func (e *echo) GetTask(_ context.Context, r *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	found, ok := e.tasks.Load(r.GetTaskId())
	if !ok {
		return nil, status.Error(codes.NotFound, "The task does not exist.")
	}
	return found.(*taskv1.GetTaskResponse), nil
}

func main() {
	addr := flag.String("addr", "", "address of the port")
	flag.Parse()
	e := &echo{}
	for _, id := range []string{task.ID, "done-1"} {
		e.tasks.Store(id, &taskv1.GetTaskResponse{Task: task.New(id, 0, 0, true)})
	}
	server := grpc.NewServer()
	taskv1.RegisterTaskServiceServer(server, e)
	listener, err := net.Listen("tcp", *addr) //nolint:noctx // It listens until the process ends.
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}
