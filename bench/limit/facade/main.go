// Command facade is the limit of a GetTask that asks KooDrive, FACADE: a handler of bare grpc-go that makes one GET
// with a tuned http.Client, and decodes with encoding/json.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// answer is KooDrive's.
type answer struct {
	TaskID   string `json:"taskId"`
	TaskName string `json:"taskName"`
	TaskType int32  `json:"taskType"`
	TenantID string `json:"tenantId"`
	UserID   string `json:"userId"`
	Status   int32  `json:"status"`
	Code     int    `json:"code"`
	Msg      string `json:"msg"`
}

// statuses are kootask's, by KooDrive's number.
var statuses = []taskv1.TaskStatus{
	taskv1.TaskStatus_TASK_STATUS_NEW, taskv1.TaskStatus_TASK_STATUS_EXECUTING,
	taskv1.TaskStatus_TASK_STATUS_SUCCESS, taskv1.TaskStatus_TASK_STATUS_FAILED,
}

// maxBody is more than any answer has.
const maxBody = 4096

type facade struct {
	taskv1.UnimplementedTaskServiceServer
	client   *http.Client
	upstream string    // The host and port.
	bodies   sync.Pool // Of *[]byte, with maxBody bytes.
}

func (f *facade) GetTask(ctx context.Context, r *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	request := (&http.Request{
		Method: http.MethodGet, Host: f.upstream, Header: http.Header{},
		URL: &url.URL{Scheme: "http", Host: f.upstream, Path: "/koodrive/ose/v1/task/" + r.GetTaskId()},
	}).WithContext(ctx)
	response, err := f.client.Do(request)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	defer func() { _ = response.Body.Close() }()
	buffer := f.bodies.Get().(*[]byte)
	defer f.bodies.Put(buffer)
	n, err := io.ReadFull(response.Body, *buffer)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, status.Errorf(codes.Unavailable, "an answer without an end: %v", err)
	}
	body := (*buffer)[:n]
	var a answer
	if err := json.Unmarshal(body, &a); err != nil || a.Status < 0 || int(a.Status) >= len(statuses) {
		return nil, status.Errorf(codes.Internal, "an answer that is not a task: %v", err)
	}
	return &taskv1.GetTaskResponse{Task: &taskv1.Task{
		TaskId: a.TaskID, TaskName: a.TaskName, TaskType: taskv1.TaskType(a.TaskType + 1), TenantId: a.TenantID, UserId: a.UserID,
		Status: statuses[a.Status], Done: a.Status >= 2, ObserveTime: timestamppb.New(time.Now().Truncate(time.Millisecond)),
		KoodriveStatus: proto.Int32(a.Status), KoodriveTaskType: proto.Int32(a.TaskType),
	}}, nil
}

func main() {
	addr := flag.String("addr", "", "address of the port")
	upstream := flag.String("upstream", "", "address of KooDrive")
	flag.Parse()
	transport := &http.Transport{MaxIdleConns: 2048, MaxIdleConnsPerHost: 1024, DisableCompression: true}
	server := grpc.NewServer()
	taskv1.RegisterTaskServiceServer(server, &facade{
		client: &http.Client{Transport: transport}, upstream: *upstream,
		bodies: sync.Pool{New: func() any { buffer := make([]byte, maxBody); return &buffer }},
	})
	listener, err := net.Listen("tcp", *addr) //nolint:noctx // It listens until the process ends.
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(server.Serve(listener))
}
