// Command waiter waits for tasks with the waiter for long-running operations of Google's library for Go: see plain.go in
// clients/conformance. KOOTASK_GRPC is the address. It prints each check, and fails if one does.
//
// It is a Go module of its own, because the library requires many modules that kootask does not need.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"cloud.google.com/go/longrunning"
	autogen "cloud.google.com/go/longrunning/autogen"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"github.com/googleapis/gax-go/v2/apierror"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

func main() {
	if err := run(context.Background(), os.Getenv("KOOTASK_GRPC"), os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stdout, "FAIL Go:", err)
		os.Exit(1)
	}
}

// errFailed reports that a check has failed.
var errFailed = errors.New("not all checks are ok")

func run(ctx context.Context, address string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer plain"), time.Minute)
	defer cancel()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	client, err := autogen.NewOperationsClient(ctx, option.WithGRPCConn(conn))
	if err != nil {
		return err
	}
	operation := func(id string) *longrunning.Operation {
		return longrunning.InternalNewOperation(client, &longrunningpb.Operation{Name: "operations/" + id})
	}
	failed := false
	check := func(name string, good bool, seen ...any) {
		if good {
			seen = nil
		}
		failed = failed || !good
		_, _ = fmt.Fprintln(out, append([]any{map[bool]string{true: "ok  ", false: "FAIL"}[good], "Go:", name}, seen...)...)
	}

	task := &taskv1.Task{}
	waits := operation("go-waits")
	err = waits.Poll(ctx, nil)
	check("a task on its way is not done", err == nil && !waits.Done(), err, waits)
	err = waits.Metadata(task)
	check("it is in the metadata", err == nil && task.GetTaskId() == "go-waits" && !task.GetDone(), err, task)
	task.Reset()
	err = waits.WaitWithInterval(ctx, task, time.Second)
	check("a waiter gets the finished task", err == nil && task.GetStatus() == taskv1.TaskStatus_TASK_STATUS_SUCCESS, err, task)

	fails := operation("fails")
	failure := failureOf(fails.WaitWithInterval(ctx, task, time.Second))
	check("a failed task is an error", fails.Done() && failure.is(codes.Aborted, "TASK_FAILED") &&
		failure.Metadata()["taskId"] == "fails" && failure.Metadata()["resultCode"] == "18000205", failure)
	failure = failureOf(operation("unknown").Wait(ctx, task))
	check("a missing task is not found", failure.is(codes.NotFound, "TASK_NOT_FOUND"), failure)

	failure = failureOf(waits.Cancel(ctx))
	check("cancel is not supported", failure.is(codes.Unimplemented, "METHOD_NOT_ALLOWED"), failure)
	failure = failureOf(waits.Delete(ctx))
	check("delete is not supported", failure.is(codes.Unimplemented, "METHOD_NOT_ALLOWED"), failure)
	_, err = client.ListOperations(ctx, &longrunningpb.ListOperationsRequest{Name: "operations"}).Next()
	failure = failureOf(err)
	check("list is not supported", failure.is(codes.Unimplemented, "METHOD_NOT_ALLOWED"), failure)
	if failed {
		return errFailed
	}
	return nil
}

// failure is an error as Google's library reads it.
type failure struct{ *apierror.APIError }

// failureOf reads an error. The failure is empty if the library does not know the error.
func failureOf(err error) failure {
	var known *apierror.APIError
	if !errors.As(err, &known) {
		known = &apierror.APIError{}
	}
	return failure{known}
}

func (f failure) is(code codes.Code, reason string) bool {
	return f.GRPCStatus().Code() == code && f.Domain() == "koodrive.task.v1" && f.Reason() == reason
}
