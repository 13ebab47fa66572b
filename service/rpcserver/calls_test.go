package rpcserver

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
)

// leaving is a stream whose client has gone.
type leaving struct {
	grpc.ServerStream
	ctx context.Context
}

func (s leaving) Context() context.Context    { return s.ctx }
func (s leaving) SetHeader(metadata.MD) error { return nil }
func (s leaving) SetTrailer(metadata.MD)      {}
func (s leaving) SendMsg(any) error           { return status.Error(codes.Unavailable, "transport is closing") }

// anybody lets everybody call.
func anybody(ctx context.Context, _ bool) (caller.Caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	return caller.NewReader(caller.Forward, "").Read(md.Get)
}

// That a message does not reach a client which has left is no fault of ours.
func TestSendingToWhoHasLeft(t *testing.T) {
	var log bytes.Buffer
	c := &calls{
		who: anybody, log: slog.New(slog.NewTextHandler(&log, nil)),
		metrics: newMetrics(nil),
	}
	stream := leaving{ctx: metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer geheim"))}
	info := &grpc.StreamServerInfo{FullMethod: taskv1.TaskService_WatchTask_FullMethodName}
	err := c.stream(nil, stream, info, func(_ any, stream grpc.ServerStream) error {
		return stream.SendMsg(&taskv1.WatchTaskResponse{})
	})
	if status.Code(err) != codes.Canceled || !strings.Contains(log.String(), "level=INFO") ||
		!strings.Contains(log.String(), "outcome=CALLER_CANCELLED") {
		t.Errorf("%v\n%s", err, &log)
	}
}
