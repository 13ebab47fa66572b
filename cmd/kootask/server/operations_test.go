package server_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// An operation has its task as metadata all the time, and as response once the task is finished.
func TestOperationHasItsTask(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Name: "import", Steps: steps(0, 1, 2)})
		for _, want := range []taskv1.TaskStatus{
			taskv1.TaskStatus_TASK_STATUS_NEW, taskv1.TaskStatus_TASK_STATUS_EXECUTING, taskv1.TaskStatus_TASK_STATUS_SUCCESS,
		} {
			o := s.operation(t, taskID)
			done := want == taskv1.TaskStatus_TASK_STATUS_SUCCESS
			if task := taskIn(t, o.GetMetadata()); task.GetStatus() != want || task.GetTaskId() != taskID || task.GetTaskName() != "import" ||
				o.GetName() != "operations/"+taskID || o.GetDone() != done || o.GetError() != nil || (o.GetResponse() != nil) != done {
				t.Errorf("want %v, got %v", want, o)
			}
			if done {
				got, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: taskID})
				if diff := cmp.Diff(got.GetTask(), taskIn(t, o.GetResponse()), protocmp.Transform()); err != nil || diff != "" {
					t.Errorf("%v; the response differs from GetTask (-want +got):\n%s", err, diff)
				}
			}
			time.Sleep(service.DefaultPollMin + 1)
		}
	})
}

// The operation of a failed task has the error of a GetTask with failed_task_as_error, in the language of the call.
func TestFailedTaskIsTheOperationsError(t *testing.T) {
	for given, language := range map[string]string{"": "", "zh-CN": reason.Chinese, "en_us": reason.English} {
		bubble(t, nil, func(t *testing.T, s *system) {
			header := []string{"x-request-id", "mine", "language", given}
			o := s.operation(t, exampleID, header...)
			if task := taskIn(t, o.GetMetadata()); !o.GetDone() || o.GetResponse() != nil || task.GetStatus() != taskv1.TaskStatus_TASK_STATUS_FAILED {
				t.Errorf("got %v", o)
			}
			v := read(t, status.FromProto(o.GetError()))
			if v.code != codes.Aborted || v.reason != "TASK_FAILED" || v.requestID != "mine" || v.language != language || v.retry != nil ||
				v.metadata["taskId"] != exampleID || v.metadata["resultCode"] != "18000205" || len(v.metadata) != 2 {
				t.Errorf("%q: %+v", given, v)
			}
			_, err := s.tasks.GetTask(as(t.Context(), token, header...), &taskv1.GetTaskRequest{TaskId: exampleID, FailedTaskAsError: true})
			if diff := cmp.Diff(status.Convert(err).Proto(), o.GetError(), protocmp.Transform()); diff != "" {
				t.Errorf("the error differs from GetTask's (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadOperationNames(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for name, want := range map[string]string{
			"":                                      "MISSING",
			"operations/":                           "MISSING",
			taskID:                                  "MALFORMED",
			"operations":                            "MALFORMED",
			"Operations/" + taskID:                  "MALFORMED",
			"/operations/" + taskID:                 "MALFORMED",
			"operations//" + taskID:                 "MALFORMED",
			"operations/" + taskID + "/":            "MALFORMED",
			"tasks/" + taskID:                       "MALFORMED",
			"projects/p/operations/" + taskID:       "MALFORMED",
			"operations/a b":                        "MALFORMED",
			"operations/../users":                   "MALFORMED",
			"operations/任务":                         "MALFORMED",
			"operations/list":                       "RESERVED",
			"operations/" + strings.Repeat("9", 65): "TOO_LONG",
			junk + "\n":                             "MALFORMED",
		} {
			_, get := s.operations().GetOperation(as(t.Context(), token), &longrunningpb.GetOperationRequest{Name: name})
			_, wait := s.operations().WaitOperation(as(t.Context(), token), &longrunningpb.WaitOperationRequest{Name: name})
			for _, err := range []error{get, wait} {
				if v := read(t, status.Convert(err)); v.code != invalid || v.reason != "REQUEST_INVALID" || !slices.Equal(v.violations, []string{"name " + want}) {
					t.Errorf("%q: %+v", name, v)
				}
			}
		}
		if n := s.koodrive.Count(); n != 0 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

// WaitOperation is WaitTask, with the task in an operation.
func TestWaitOperation(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1, For: 20 * time.Second}, {Status: 2}}})
		wait := func(id string, timeout time.Duration) (*longrunningpb.Operation, error) {
			request := &longrunningpb.WaitOperationRequest{Name: "operations/" + id, Timeout: durationpb.New(timeout)}
			return s.operations().WaitOperation(as(t.Context(), token), request)
		}
		start := time.Now()
		o, err := wait(taskID, 5*time.Second)
		if took := time.Since(start); err != nil || o.GetDone() || o.GetResult() != nil || took != 5*time.Second || o.GetName() != "operations/"+taskID ||
			taskIn(t, o.GetMetadata()).GetStatus() != taskv1.TaskStatus_TASK_STATUS_EXECUTING {
			t.Errorf("after %v: %v, %v", took, o, err)
		}
		o, err = wait(taskID, 50*time.Second)
		if took := time.Since(start); err != nil || !o.GetDone() || took > 45*time.Second || taskIn(t, o.GetResponse()).GetStatus() != taskv1.TaskStatus_TASK_STATUS_SUCCESS {
			t.Errorf("after %v: %v, %v", took, o, err)
		}
		if o, err = wait(exampleID, 0); err != nil || !o.GetDone() || read(t, status.FromProto(o.GetError())).reason != "TASK_FAILED" {
			t.Errorf("a failed task: %v, %v", o, err)
		}
		s.koodrive.SetTask(koodrivetest.Task{ID: "bad", Steps: []koodrivetest.Step{{Fault: code(400, "13000102")}}})
		for _, row := range []struct {
			id           string
			timeout      time.Duration
			reason, want string
		}{
			{"unknown", time.Second, "TASK_NOT_FOUND", ""},
			{"bad", time.Second, "REQUEST_INVALID", "name REJECTED_BY_KOODRIVE"},
			{taskID, -time.Second, "REQUEST_INVALID", "timeout OUT_OF_RANGE"},
		} {
			_, err := wait(row.id, row.timeout)
			if v := read(t, status.Convert(err)); v.reason != row.reason || strings.Join(v.violations, ",") != row.want {
				t.Errorf("%+v: %+v", row, v)
			}
		}
	})
}

// A call whose task id KooDrive does not accept fails with the field of its own request, although calls share KooDrive's refusal.
func TestRefusedTaskIDIsTheOperationsName(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		fault := code(400, "13000102")
		fault.Latency = 100 * time.Millisecond
		s.koodrive.SetFault(fault)
		var all sync.WaitGroup
		for i := range 30 {
			door := getDoors[i%len(getDoors)]
			all.Go(func() {
				field := map[string]string{"grpc get": "task_id", "grpc operation": "name", "rest": "taskId"}[door]
				v := s.fail(t.Context(), t, door, call{id: taskID, header: bearer})
				if v.reason != "REQUEST_INVALID" || !slices.Equal(v.violations, []string{field + " REJECTED_BY_KOODRIVE"}) {
					t.Errorf("%s: %+v", door, v)
				}
			})
		}
		all.Wait()
		if n := s.koodrive.Count(); n != 1 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

// A task cannot be listed, cancelled or deleted. A caller is needed all the same.
func TestOperationsThatAreRefused(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		methods := map[string]proto.Message{
			longrunningpb.Operations_ListOperations_FullMethodName:  &longrunningpb.ListOperationsRequest{Name: "operations"},
			longrunningpb.Operations_CancelOperation_FullMethodName: &longrunningpb.CancelOperationRequest{Name: "operations/" + exampleID},
			longrunningpb.Operations_DeleteOperation_FullMethodName: &longrunningpb.DeleteOperationRequest{Name: "operations/" + exampleID},
		}
		for method, request := range methods {
			ctx := as(t.Context(), token, "language", "zh-CN", "x-request-id", "mine")
			var trailer metadata.MD
			v := read(t, status.Convert(s.conn.Invoke(ctx, method, request, &emptypb.Empty{}, grpc.Trailer(&trailer))))
			if v.code != codes.Unimplemented || v.reason != "METHOD_NOT_ALLOWED" || v.retry != nil || v.requestID != "mine" || v.language != reason.Chinese ||
				!slices.Equal(trailer.Get("x-request-id"), []string{"mine"}) {
				t.Errorf("%s: %+v, %v", method, v, trailer)
			}
			v = read(t, status.Convert(s.conn.Invoke(t.Context(), method, request, &emptypb.Empty{})))
			if v.reason != "CREDENTIAL_MISSING" {
				t.Errorf("%s without a credential: %+v", method, v)
			}
		}
		if n := s.koodrive.Count(); n != 0 {
			t.Errorf("KooDrive got %d requests", n)
		}
		if log := s.calls(); strings.Contains(log, "ERROR") || strings.Count(log, `"level":"WARN"`) != 2*len(methods) {
			t.Errorf("log:\n%s", log)
		}
	})
}

// Ten clients that ask for an operation every 100 ms cost KooDrive at most a request per interval of polls, also beside a watch of
// the task. Each of them sees a change within two intervals.
func TestOperationLoopsShareTheirRequests(t *testing.T) {
	t.Parallel()
	const loops, every, while = 10, 100 * time.Millisecond, time.Minute
	for _, interval := range []time.Duration{time.Second, 3 * time.Second} {
		for _, latency := range []time.Duration{0, 700 * time.Millisecond, 5 * time.Second} {
			t.Run(fmt.Sprint(interval, latency), func(t *testing.T) {
				bubble(t, func(c *server.Config) { c.Service.PollMin = interval }, func(t *testing.T, s *system) {
					s.koodrive.SetFault(&koodrivetest.Fault{Latency: latency})
					s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1, For: while}, {Status: 2}}})
					start := time.Now()
					var all sync.WaitGroup
					for range loops {
						all.Go(func() {
							for !s.operation(t, taskID).GetDone() {
								time.Sleep(every)
							}
							if late := time.Since(start) - while; late > 2*(interval+latency) {
								t.Errorf("done was seen after %v", late)
							}
						})
						time.Sleep(every / loops)
					}
					all.Wait()
					requests := s.koodrive.Requests()
					for i := range requests[1:] {
						if apart := requests[i+1].Received.Sub(requests[i].Received); apart < interval {
							t.Errorf("request %d came after %v", i+1, apart)
						}
					}
					if least := int(while / (interval + latency + 2*every)); len(requests) < least {
						t.Errorf("%d requests, want at least %d: the answers are too old", len(requests), least)
					}
				})
			})
		}
	}
}

// A finished task is answered from memory, whatever its age.
func TestFinishedOperationIsKept(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for range 50 {
			if o := s.operation(t, exampleID); !o.GetDone() {
				t.Fatalf("got %v", o)
			}
			time.Sleep(time.Second)
		}
		if n := s.koodrive.Count(); n != 1 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

// Every method of every service but health and reflection needs a caller, whatever the request. Health knows these services by
// name.
func TestNoServiceIsOpen(t *testing.T) {
	for name, m := range modes {
		t.Run(name, func(t *testing.T) {
			bubbleKnown(t, m, nil, func(t *testing.T, s *known) {
				checked := 0
				for _, service := range s.listed(t) {
					if strings.HasPrefix(service, "grpc.") {
						continue
					}
					health, err := healthv1.NewHealthClient(s.conn).Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
					if err != nil || health.GetStatus() != healthv1.HealthCheckResponse_SERVING {
						t.Errorf("health of %s: %v, %v", service, health, err)
					}
					found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
					if err != nil {
						t.Fatal(err)
					}
					methods := found.(protoreflect.ServiceDescriptor).Methods()
					for i := range methods.Len() {
						method := "/" + service + "/" + string(methods.Get(i).Name())
						for what, c := range map[string]call{"nobody": m.call(""), "a forged token": m.call("", "Bearer "+junk)} {
							if v := s.invoke(t, method, c); v.code != codes.Unauthenticated || v.reason != "CALLER_UNAUTHENTICATED" {
								t.Errorf("%s calls %s: %+v", what, method, v)
							}
							checked++
						}
					}
				}
				if n := s.koodrive.Count(); n != 0 || checked < 2*(4+5) {
					t.Errorf("KooDrive got %d requests, and %d calls were made", n, checked)
				}
			})
		})
	}
}
