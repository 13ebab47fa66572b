// Command vanguard is Vanguard, which turns REST into gRPC inside the process, before a gRPC server with a task in memory.
package main

import (
	"context"
	"flag"
	"log"

	"connectrpc.com/vanguard"
	"connectrpc.com/vanguard/vanguardgrpc"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"

	"github.com/kootask/kootask/bench/control"
	"github.com/kootask/kootask/bench/task"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

type memory struct {
	taskv1.UnimplementedTaskServiceServer
	response *taskv1.GetTaskResponse
}

func (m memory) GetTask(context.Context, *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	return m.response, nil
}

func main() {
	addr := flag.String("addr", "", "address of the port")
	flag.Parse()
	encoding.RegisterCodec(vanguardgrpc.NewCodec(&vanguard.JSONCodec{}))
	server := grpc.NewServer()
	taskv1.RegisterTaskServiceServer(server, memory{response: &taskv1.GetTaskResponse{Task: task.New("done-1", 0, 0, true)}})
	handler, err := vanguardgrpc.NewTranscoder(server, vanguard.WithRules(&annotations.HttpRule{
		Selector:     "koodrive.task.v1.TaskService.GetTask",
		Pattern:      &annotations.HttpRule_Get{Get: "/v1/tasks/{task_id}"},
		ResponseBody: "task",
	}))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(control.Listen(*addr, handler))
}
