// Command broadcast is the limit of a watch over gRPC: bare grpc-go that sends each change to all open streams.
//
//	broadcast        # PLAIN: the handler of each stream waits for the change, and sends it.
//	broadcast -loop  # LOOP: the handlers sleep. Two goroutines send an encoded change to the streams, in order of connection.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"

	"github.com/kootask/kootask/bench/control"
	"github.com/kootask/kootask/bench/task"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// senders is the number of goroutines that send in LOOP.
const senders = 2

// change is one in the list of all. next may be read once ready is closed.
type change struct {
	message *taskv1.WatchTaskResponse
	ready   chan struct{}
	next    *change
}

type broadcast struct {
	taskv1.UnimplementedTaskServiceServer
	control.State
	last atomic.Pointer[change]

	loop    bool
	mu      sync.Mutex // Guards streams.
	streams []grpc.ServerStream
}

func (b *broadcast) WatchTask(_ *taskv1.WatchTaskRequest, stream grpc.ServerStreamingServer[taskv1.WatchTaskResponse]) error {
	c := b.last.Load()
	b.Open.Add(1)
	defer b.Open.Add(-1)
	if b.loop {
		b.mu.Lock()
		b.streams = append(b.streams, stream)
		b.mu.Unlock()
		<-stream.Context().Done()
		return context.Cause(stream.Context())
	}
	for {
		select {
		case <-c.ready:
		case <-stream.Context().Done():
			return context.Cause(stream.Context())
		}
		c = c.next
		if err := stream.Send(c.message); err != nil {
			return err
		}
	}
}

// change makes a change and, in LOOP, sends it.
func (b *broadcast) change() {
	version, pad := b.Last()
	message := &taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: task.New(task.ID, version, pad, false)}}
	b.Tell(version)
	if !b.loop {
		c := &change{message: message, ready: make(chan struct{})}
		before := b.last.Swap(c)
		before.next = c
		close(before.ready)
		return
	}
	b.mu.Lock()
	streams := b.streams
	b.mu.Unlock()
	if len(streams) == 0 {
		return
	}
	prepared := &grpc.PreparedMsg{}
	if err := prepared.Encode(streams[0], message); err != nil {
		log.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			for _, stream := range streams[i*len(streams)/senders : (i+1)*len(streams)/senders] {
				_ = stream.SendMsg(prepared) // It fails if the client has ended the stream.
			}
		})
	}
	all.Wait()
}

func main() {
	addr := flag.String("addr", "", "address of the port")
	ctl := flag.String("control", "", "address of the control port")
	loop := flag.Bool("loop", false, "send from two goroutines")
	flag.Parse()
	b := &broadcast{loop: *loop}
	b.last.Store(&change{ready: make(chan struct{})})
	server := grpc.NewServer()
	taskv1.RegisterTaskServiceServer(server, b)
	listener, err := net.Listen("tcp", *addr) //nolint:noctx // It listens until the process ends.
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(b.Serve(*ctl, b.change)) }()
	log.Fatal(server.Serve(listener))
}
