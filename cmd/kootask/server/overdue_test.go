package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/rpcserver"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// openMethods are methods of the gRPC port, of every kind. A test relies on their number and order.
var openMethods = []string{
	taskv1.TaskService_GetTask_FullMethodName, taskv1.TaskService_WatchTask_FullMethodName, longrunningpb.Operations_GetOperation_FullMethodName,
	"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
}

// overdue returns the code of a call whose request does not arrive. Health's and reflection's do not say why.
func overdue(method string) codes.Code {
	if !strings.HasPrefix(method, "/grpc.") {
		return codes.InvalidArgument
	}
	return codes.Canceled
}

// Of 2,000 calls whose request never arrives or never ends, each ends after 5 s and leaves nothing behind; other calls are
// answered meanwhile.
func TestCallsWithoutARequest(t *testing.T) {
	const calls, perConn = 2000, 500
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(2)})
		var conns []*grpc.ClientConn
		for range calls / perConn {
			conn := s.dial(t)
			if err := conn.Invoke(as(t.Context(), token), openMethods[0], &taskv1.GetTaskRequest{TaskId: taskID}, &taskv1.GetTaskResponse{}); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, conn)
		}
		s.scrape(t)
		honest := &system{tasks: s.tasks, http: s.http}
		honest.served(t, "before")
		before := s.goroutines()

		start := time.Now()
		var all sync.WaitGroup
		for i := range calls {
			method := openMethods[i%len(openMethods)]
			ctx := context.Background()
			if i%2 == 0 || method == openMethods[1] { // Without a credential a watch ends at once.
				ctx = as(ctx, token)
			}
			stream, err := conns[i/perConn].NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
			if err != nil {
				t.Fatal(err)
			}
			if i%12 < 5 { // A method with a single request: it arrives, but the client does not end its side.
				_ = stream.SendMsg(&taskv1.GetTaskRequest{TaskId: taskID})
			}
			all.Go(func() {
				if err := stream.RecvMsg(&taskv1.GetTaskResponse{}); status.Code(err) != overdue(method) || time.Since(start) != rpcserver.RequestTimeout {
					t.Errorf("%s, %d: %v after %v", method, i, err, time.Since(start))
				}
			})
		}
		synctest.Wait()
		if got := s.scrape(t)[`kootask_requests_awaited{port="grpc"}`]; got != calls {
			t.Errorf("%v requests are awaited", got)
		}
		for time.Since(start) < rpcserver.RequestTimeout-time.Second {
			honest.served(t, "among 2,000 calls without a request")
			time.Sleep(100 * time.Millisecond)
		}
		all.Wait()
		synctest.Wait()
		honest.served(t, "after")
		metrics := s.scrape(t)
		if waiting, over := metrics[`kootask_requests_awaited{port="grpc"}`], metrics[`kootask_requests_overdue_total{port="grpc"}`]; waiting != 0 || over != calls {
			t.Errorf("%v requests are awaited, %v were overdue", waiting, over)
		}
		if after := s.goroutines(); after > before+calls/100 { // The process has other goroutines, too.
			t.Errorf("%d goroutines, before %d", after, before)
		}
	})
}

// goroutines counts those of the process, without those of idle HTTP connections, whose number depends on chance: a request may
// begin before the previous connection is idle.
func (s *system) goroutines() int {
	s.http.CloseIdleConnections()
	s.admin.CloseIdleConnections()
	synctest.Wait()
	return runtime.NumGoroutine()
}

// A request that arrives in part, or byte by byte, gets no more time than one that does not arrive.
func TestRequestsThatComeInPart(t *testing.T) {
	for name, send := range map[string]func(io.Writer){
		"half of its length": func(w io.Writer) { _, _ = w.Write([]byte{0, 0}) },
		"half of it":         func(w io.Writer) { _, _ = w.Write([]byte{0, 0, 0, 0, 10, 1, 2}) },
		"a byte a second": func(w io.Writer) {
			for _, err := w.Write([]byte{0, 0, 0, 10, 0}); err == nil; _, err = w.Write([]byte{1}) {
				<-time.After(time.Second)
			}
		},
	} {
		for _, method := range openMethods {
			t.Run(name+method, func(t *testing.T) {
				bubble(t, nil, func(t *testing.T, s *system) {
					body, to := io.Pipe()
					r := request(t.Context(), t, "")
					r.Method, r.URL.Path, r.Body = http.MethodPost, method, body
					r.Header.Set("Content-Type", "application/grpc")
					r.Header.Set("Te", "trailers")
					client := httpClient(s.grpcPort)
					transport := h2c(client)
					transport.DialContext = s.roomy
					var sending sync.WaitGroup
					defer func() { // In this order: a connection is not idle while a request is sent.
						_ = body.Close()
						sending.Wait()
						synctest.Wait()
						transport.CloseIdleConnections()
					}()
					sending.Go(func() { send(to) })
					start := time.Now()
					resp, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					_ = resp.Body.Close()
					if got := resp.Header.Get("Grpc-Status"); got != fmt.Sprint(int(overdue(method))) || time.Since(start) != rpcserver.RequestTimeout {
						t.Errorf("status %q after %v", got, time.Since(start))
					}
				})
			})
		}
	}
}

// A stop does not wait for a request that does not arrive.
func TestStopWithCallsWithoutARequest(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, method := range openMethods {
			if _, err := s.conn.NewStream(as(t.Context(), token), &grpc.StreamDesc{ClientStreams: true}, method); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		start := time.Now()
		s.stop()
		if err := <-s.stopped; err != nil || time.Since(start) > time.Second {
			t.Errorf("stopped with %v after %v", err, time.Since(start))
		}
		s.stopped <- nil
	})
}
