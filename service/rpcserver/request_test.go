package rpcserver_test

import (
	"context"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// open begins a call of any method without a request.
func open(ctx context.Context, t *testing.T, conn *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// A call whose request does not come, or does not end, ends after 5 s, whatever its method is. Callers' calls say why. One whose
// request comes later than its header is answered.
func TestRequestsAreNotWaitedFor(t *testing.T) {
	ok := func(context.Context) error { return nil }
	for _, method := range append(slices.Clone(methods), "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch") {
		overdue := codes.Canceled
		if slices.Contains(methods, method) {
			overdue = codes.InvalidArgument
		}
		for name, row := range map[string]struct {
			send func(grpc.ClientStream)
			code codes.Code
			took time.Duration
		}{
			"no request":                {func(grpc.ClientStream) {}, overdue, rpcserver.RequestTimeout},
			"a request that has no end": {func(s grpc.ClientStream) { _ = s.SendMsg(&taskv1.GetTaskRequest{}) }, overdue, rpcserver.RequestTimeout},
			"a late request": {func(s grpc.ClientStream) {
				<-time.After(rpcserver.RequestTimeout - time.Second)
				_ = s.SendMsg(&taskv1.GetTaskRequest{})
				_ = s.CloseSend()
			}, codes.OK, rpcserver.RequestTimeout - time.Second},
		} {
			bubble(t, ok, func(ctx context.Context, t *testing.T, tasks client) {
				start := time.Now()
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				defer cancel()
				stream := open(ctx, t, tasks.conn, method)
				row.send(stream)
				if err := stream.RecvMsg(&taskv1.GetTaskResponse{}); err != nil && err.Error() != "EOF" && status.Code(err) != row.code ||
					time.Since(start) != row.took {
					t.Errorf("%s, %s: %v after %v", method, name, err, time.Since(start))
				}
			})
		}
	}
}

// A stream's caller is checked before its request is read, and the check may take longer than a request: the request is there,
// and is not overdue.
func TestCheckingTheCallerTakesNoTimeOfTheRequest(t *testing.T) {
	for _, method := range methods {
		synctest.Test(t, func(t *testing.T) {
			listener, ok := koodrivetest.Listen(), stub{do: func(context.Context) error { return nil }}
			s := rpcserver.New(rpcserver.Config{
				Service: ok, Operations: ok, Log: slog.New(slog.DiscardHandler),
				Who: func(ctx context.Context, header metadata.MD, _ bool) (caller.Caller, error) {
					time.Sleep(3 * rpcserver.RequestTimeout)
					return anybody(ctx, header, true)
				},
			})
			go func() { _ = s.Serve(listener) }()
			conn, err := grpc.NewClient("passthrough:///kootask", grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.Dial(ctx, "", "") }))
			if err != nil {
				t.Fatal(err)
			}
			ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer geheim")
			if err := call(ctx, t, client{taskv1.NewTaskServiceClient(conn), conn}, method); err != nil && !strings.Contains(err.Error(), "EOF") {
				t.Errorf("%s: %v", method, err)
			}
			_ = conn.Close()
			s.Stop(t.Context())
		})
	}
}

// A call whose request does not arrive is logged, and its client is told the same request id, in its language.
func TestOverdueRequestsAreLogged(t *testing.T) {
	for _, method := range methods {
		var failure error
		var trailer metadata.MD
		log := bubble(t, func(context.Context) error { return nil }, func(ctx context.Context, t *testing.T, tasks client) {
			stream := open(metadata.AppendToOutgoingContext(ctx, "language", "zh-CN"), t, tasks.conn, method)
			failure = stream.RecvMsg(&taskv1.WatchTaskResponse{})
			trailer = stream.Trailer()
		})
		if strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=WARN") || !strings.Contains(log, "outcome=REQUEST_MALFORMED") ||
			!strings.Contains(log, "did not arrive within 5s") || !strings.Contains(log, "method="+method) {
			t.Errorf("%s: log:\n%s", method, log)
		}
		var info *errdetails.RequestInfo
		var localized *errdetails.LocalizedMessage
		for _, detail := range status.Convert(failure).Details() {
			switch d := detail.(type) {
			case *errdetails.RequestInfo:
				info = d
			case *errdetails.LocalizedMessage:
				localized = d
			}
		}
		id := info.GetRequestId()
		if id == "" || !strings.Contains(log, "request_id="+id) || !slices.Equal(trailer.Get("x-request-id"), []string{id}) ||
			!slices.Equal(trailer.Get("grpc-retry-pushback-ms"), []string{"-1"}) || localized.GetLocale() != "zh-CN" {
			t.Errorf("%s: %v with %v, %v; log:\n%s", method, info, localized, trailer, log)
		}
	}
}
