package kootask_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"google.golang.org/grpc"

	kootask "github.com/kootask/kootask/clients/go"
	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func Example() {
	addr, stop := startServer() // A kootask with a KooDrive for tests.
	defer stop()

	client, err := kootask.New(kootask.Config{Addr: addr.name, Token: "secret", DialOptions: addr.dial})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	for task, err := range client.Watch(context.Background(), "1534087020903704705") {
		if err != nil {
			panic(err)
		}
		fmt.Println(task.GetTaskId(), task.GetStatus())
	}
	// Output:
	// 1534087020903704705 TASK_STATUS_NEW
	// 1534087020903704705 TASK_STATUS_EXECUTING
	// 1534087020903704705 TASK_STATUS_SUCCESS
}

func ExampleClient_Get() {
	addr, stop := startServer()
	defer stop()
	client, err := kootask.New(kootask.Config{Addr: addr.name, Token: "secret", DialOptions: addr.dial})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	task, err := client.Get(context.Background(), "1534087020903704704")
	if err != nil {
		panic(err)
	}
	fmt.Println(task.GetStatus(), task.GetKoodriveResultCode())
	// Output: TASK_STATUS_FAILED 18000205
}

func ExampleClient_Wait() {
	addr, stop := startServer()
	defer stop()
	client, err := kootask.New(kootask.Config{Addr: addr.name, Token: "secret", DialOptions: addr.dial})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	task, err := client.Wait(context.Background(), "1534087020903704705")
	if err != nil {
		panic(err)
	}
	fmt.Println(task.GetStatus())
	// Output: TASK_STATUS_SUCCESS
}

func ExampleClient_WatchAll() {
	addr, stop := startServer()
	defer stop()
	client, err := kootask.New(kootask.Config{Addr: addr.name, Token: "secret", DialOptions: addr.dial})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	ids := []string{"1534087020903704704", "1534087020903704705", "1534087020903709999"}
	for event, err := range client.WatchAll(context.Background(), ids) {
		switch {
		case err != nil: // The watch of all tasks has ended.
			panic(err)
		case event.Task.GetDone():
			fmt.Println(event.Task.GetTaskId(), event.Task.GetStatus())
		case event.Dropped != nil && !event.Dropped.Retry:
			fmt.Println(event.Dropped.TaskID, event.Dropped.Reason)
		}
	}
	// Unordered output:
	// 1534087020903704704 TASK_STATUS_FAILED
	// 1534087020903704705 TASK_STATUS_SUCCESS
	// 1534087020903709999 TASK_NOT_FOUND
}

func ExampleError() {
	addr, stop := startServer()
	defer stop()
	client, err := kootask.New(kootask.Config{Addr: addr.name, Token: "secret", DialOptions: addr.dial})
	if err != nil {
		panic(err)
	}
	defer client.Close()

	_, err = client.Get(context.Background(), "1534087020903709999")
	var failure *kootask.Error
	if errors.As(err, &failure) {
		fmt.Println(failure.Has(taskv1.ErrorReason_TASK_NOT_FOUND), failure.Reason, failure.Retry)
	}
	_, err = client.Get(context.Background(), "1534087020903704704", kootask.FailedTaskAsError())
	if errors.As(err, &failure) {
		fmt.Println(failure.Reason, failure.Metadata["resultCode"])
	}
	_, err = client.Get(context.Background(), "list")
	if errors.As(err, &failure) {
		fmt.Println(failure.Reason, failure.Violations[0].Field, failure.Violations[0].Reason)
	}
	// Output:
	// true TASK_NOT_FOUND false
	// TASK_FAILED 18000205
	// REQUEST_INVALID task_id RESERVED
}

// address is where an example's server is reached.
type address struct {
	name    string
	dial    []grpc.DialOption
	connect func(context.Context) (net.Conn, error)
}

// startServer starts a kootask for an example, in memory.
func startServer() (address, func()) {
	koodrive := koodrivetest.New()
	koodrive.AddToken("secret", 0)
	koodrive.SetTask(koodrivetest.Task{ID: "1534087020903704705", Steps: []koodrivetest.Step{
		{Status: koodrivetest.StatusNew}, {Status: koodrivetest.StatusExecuting}, {Status: koodrivetest.StatusSuccess},
	}})
	koodrive.SetTask(koodrivetest.Task{ID: "1534087020903704706"})
	upstreamPort, grpcPort, httpPort := koodrivetest.Listen(), koodrivetest.Listen(), koodrivetest.Listen()
	ctx, cancel := context.WithCancel(context.Background())
	koodriveStopped := serveHTTP(ctx, upstreamPort, koodrive)

	config := server.Config{
		Upstream: upstream.Config{BaseURL: "http://koodrive.test", AllowHTTP: true, Dial: upstreamPort.Dial},
		Log:      slog.New(slog.DiscardHandler),
	}
	config.Service.PollMin, config.Service.PollMax = time.Millisecond, time.Minute
	s, err := server.New(config)
	if err != nil {
		panic(err)
	}
	stopped := make(chan error)
	go func() { stopped <- s.Run(ctx, server.Listeners{GRPC: grpcPort, HTTP: httpPort}) }()
	connect := func(ctx context.Context) (net.Conn, error) { return grpcPort.Dial(ctx, "", "") }
	dial := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return connect(ctx) })
	return address{"passthrough:///kootask", []grpc.DialOption{dial}, connect}, func() {
		cancel()
		if err := <-stopped; err != nil {
			panic(err)
		}
		<-koodriveStopped
	}
}

func serveHTTP(ctx context.Context, l net.Listener, handler http.Handler) (stopped chan struct{}) {
	s, stopped := &http.Server{Handler: handler}, make(chan struct{})
	go func() {
		defer close(stopped)
		_ = s.Serve(l)
	}()
	context.AfterFunc(ctx, func() { _ = s.Close() })
	return stopped
}
