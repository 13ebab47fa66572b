package rpcserver_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/rpcserver"
)

// BenchmarkCall measures the interceptors of a unary call, with its log line, without a wire and a service.
func BenchmarkCall(b *testing.B) {
	log := slog.New(slog.NewJSONHandler(io.Discard, nil)) //nolint:sloglint // Formatting the line is part of the cost.
	l := rpcserver.NewLocal(stub{do: func(context.Context) error { return nil }}, log, prometheus.NewRegistry())
	tasks := taskv1.NewTaskServiceClient(l)
	ctx := caller.NewContext(b.Context(), &caller.Caller{RequestID: "a-request.1"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: "1534087020903704704"}); err != nil {
			b.Fatal(err)
		}
	}
}
