package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/auth"
	"github.com/kootask/kootask/service/gateway"
	"github.com/kootask/kootask/service/message"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// panicking panics in every method, as TaskService, as Operations and as the gateway's connection.
type panicking struct {
	taskv1.UnimplementedTaskServiceServer
	longrunningpb.UnimplementedOperationsServer
	value any
}

func (p panicking) GetTask(context.Context, *taskv1.GetTaskRequest) (*taskv1.GetTaskResponse, error) {
	panic(p.value)
}

func (p panicking) WaitTask(context.Context, *taskv1.WaitTaskRequest) (*taskv1.WaitTaskResponse, error) {
	panic(p.value)
}

func (p panicking) GetOperation(context.Context, *longrunningpb.GetOperationRequest) (*longrunningpb.Operation, error) {
	panic(p.value)
}

func (p panicking) WaitOperation(context.Context, *longrunningpb.WaitOperationRequest) (*longrunningpb.Operation, error) {
	panic(p.value)
}

func (p panicking) WatchTask(*taskv1.WatchTaskRequest, grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	panic(p.value)
}

func (p panicking) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	panic(p.value)
}

func (p panicking) Stream(context.Context, string, proto.Message, message.Sink) error {
	panic(p.value)
}

func (p panicking) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	panic(p.value)
}

// A panic may contain anything: its type and place are logged, but not its value. Nothing in the service panics on demand,
// so this is its doors around a service that does.
func TestPanicsRevealNothing(t *testing.T) {
	for name, value := range map[string]any{
		"a text":   "Bearer " + token,
		"an error": fmt.Errorf("asking: %w", errors.New(token)),
		"a struct": struct{ authorization string }{token},
		"a pair":   []any{token, koodrivetest.Example()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, service := &system{log: &buffer{}, out: newEvidence()}, panicking{value: value}
				log := slog.New(slog.NewJSONHandler(s.log, nil))
				anybody, err := auth.New(auth.Config{Log: log})
				if err != nil {
					t.Fatal(err)
				}
				s.grpcPort, s.httpPort = koodrivetest.Listen(), koodrivetest.Listen()
				rpc := rpcserver.New(rpcserver.Config{Service: service, Operations: service, Who: anybody.Call, Log: log})
				go func() { _ = rpc.Serve(s.grpcPort) }()
				local := rpcserver.NewLocal(service, log, nil)
				s.conn = s.dial(t)
				s.tasks = taskv1.NewTaskServiceClient(s.conn)
				for _, door := range grpcDoors {
					if v := s.fail(t.Context(), t, door, call{id: taskID, header: bearer}); v.reason != "SERVER_ERROR" {
						t.Errorf("%s: %+v", door, v)
					}
				}
				for _, conn := range []gateway.Conn{local, service} {
					s.panicOverHTTP(t, gateway.Config{Conn: conn, CheckTaskID: func(string) error { return nil }, Auth: anybody, Log: log})
				}
				if n := strings.Count(s.log.String(), "panic of type"); n != len(grpcDoors)+2*len(httpDoors) {
					t.Errorf("%d panics are logged", n)
				}
				_ = s.conn.Close()
				rpc.Stop(t.Context())
				local.Stop(t.Context())
				s.out.end(t, s)
			})
		})
	}
}

// panicOverHTTP calls at the doors of HTTP. A panic in the gateway itself cuts the answer off.
func (s *system) panicOverHTTP(t *testing.T, config gateway.Config) {
	t.Helper()
	handler, err := gateway.New(config)
	if err != nil {
		t.Fatal(err)
	}
	port := koodrivetest.Listen()
	httpServer := &http.Server{
		Handler: handler, ReadHeaderTimeout: time.Second, ErrorLog: slog.NewLogLogger(config.Log.Handler(), slog.LevelWarn),
	}
	go func() { _ = httpServer.Serve(port) }()
	s.http = httpClient(port)
	for _, door := range httpDoors {
		resp, err := s.http.Do(request(t.Context(), t, pathAt(door, taskID, ""), "Accept", door))
		if err != nil {
			continue
		}
		s.out.response(resp)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %s", door, resp.Status)
		}
	}
	s.http.CloseIdleConnections()
	_ = httpServer.Close()
}
