package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// asked keeps the last request for a task, and how long it might take.
type asked struct {
	scripted
	request *taskv1.GetTaskRequest
	within  time.Duration
}

func (a *asked) Invoke(ctx context.Context, method string, request, reply any, options ...grpc.CallOption) error {
	a.request, a.within = request.(*taskv1.GetTaskRequest), 0
	if deadline, ok := ctx.Deadline(); ok {
		a.within = time.Until(deadline)
	}
	return a.scripted.Invoke(ctx, method, request, reply, options...)
}

// A query becomes the request of the contract.
func TestQueryOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := &asked{}
		handler, err := New(Config{Conn: conn, Auth: anybody(t), Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]*taskv1.GetTaskRequest{
			"":                        {TaskId: "1"},
			"maxAge=0s":               {TaskId: "1", MaxAge: &durationpb.Duration{}},
			"maxAge=2.5s":             {TaskId: "1", MaxAge: &durationpb.Duration{Seconds: 2, Nanos: 500_000_000}},
			"maxAge=0.000000001s":     {TaskId: "1", MaxAge: &durationpb.Duration{Nanos: 1}},
			"maxAge=999999999s":       {TaskId: "1", MaxAge: &durationpb.Duration{Seconds: 999_999_999}},
			"failedTaskAsError=true":  {TaskId: "1", FailedTaskAsError: true},
			"failedTaskAsError=false": {TaskId: "1"},
			"maxAge=60s&failedTaskAsError=true": {
				TaskId: "1", FailedTaskAsError: true, MaxAge: &durationpb.Duration{Seconds: 60},
			},
		} {
			w := get(handler, "/v1/tasks/1", query, nil)
			if diff := cmp.Diff(want, conn.request, protocmp.Transform()); w.Code != http.StatusOK || diff != "" || conn.within != 0 {
				t.Errorf("%q: %d, within %v, %s", query, w.Code, conn.within, diff)
			}
		}
		if get(handler, "/v1/tasks/1", "", http.Header{"Grpc-Timeout": {"60S"}}); conn.within != time.Minute {
			t.Errorf("within %v", conn.within)
		}
	})
}

// BenchmarkGet measures a GET of a task, without a wire and a service.
func BenchmarkGet(b *testing.B) {
	handler, err := New(Config{Conn: &scripted{}, Auth: anybody(b), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/v1/tasks/1534087020903704704", http.NoBody)
	r.Header.Set("Authorization", "Bearer token")
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
}
