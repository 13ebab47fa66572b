package main

import (
	"errors"
	"io"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kootask/kootask/bench/wire"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// grpcCalls makes a connection's calls.
func grpcCalls(p plan) (done calls, err error) {
	c, err := wire.Dial(p.addr)
	if err != nil {
		return done, err
	}
	defer func() { _ = c.Close() }()
	began := make([]time.Time, p.calls) // By half the number of the stream.
	open := func(i int) error {
		request, err := proto.Marshal(&taskv1.GetTaskRequest{TaskId: p.name(i)})
		if err != nil {
			return err
		}
		began[i] = time.Now()
		_, err = c.Open(taskv1.TaskService_GetTask_FullMethodName, p.token, wire.Message(request), false)
		return err
	}
	next := 0
	for ; next < min(p.inflight, p.calls); next++ {
		if err := open(next); err != nil {
			return done, err
		}
	}
	if err := c.Flush(); err != nil {
		return done, err
	}
	err = c.Serve(func(_ uint32, content []byte) error {
		done.bytes += len(content)
		return nil
	}, func(stream uint32, status string) error {
		done.latencies = append(done.latencies, time.Since(began[stream/2]))
		if status != "0" {
			done.failed++
		}
		if len(done.latencies) == p.calls {
			return io.EOF
		}
		if next == p.calls {
			return nil
		}
		next++
		return open(next - 1)
	})
	if errors.Is(err, io.EOF) && len(done.latencies) == p.calls {
		err = nil
	}
	return done, err
}
