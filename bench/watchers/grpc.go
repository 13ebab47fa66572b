package main

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/kootask/kootask/bench/wire"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// heartbeat is the first byte of a WatchTaskResponse or WatchTasksResponse that is one.
const heartbeat = 2<<3 | 2

// openGRPC opens watches over gRPC, and returns when it began.
func (w *watchers) openGRPC() (began time.Time, err error) {
	began = time.Now()
	for range w.silent {
		c, err := w.dialGRPC(true)
		if err != nil {
			return began, err
		}
		for range w.n / w.conns {
			if err := w.openStream(c, 0); err != nil {
				return began, err
			}
		}
		if err := c.Flush(); err != nil {
			return began, err
		}
	}
	conns, places := make([]*wire.Conn, w.conns), w.places()
	for i, place := range places {
		if i%w.perStream > 0 { // The stream of an earlier task has it.
			continue
		}
		if conns[place] == nil { // A server may close a connection on which nothing happens.
			if conns[place], err = w.dialGRPC(false); err != nil {
				return began, err
			}
		}
		if err := w.openStream(conns[place], i); err != nil {
			return began, err
		}
		if w.perStream > 1 || w.random || i == w.n-1 || places[i+1] != place || i%64 == 63 {
			if err := conns[place].Flush(); err != nil {
				return began, err
			}
		}
		if i%(streamsAhead/2) == 0 && !w.atOnce {
			if err := w.awaitOpen(i - streamsAhead/2); err != nil {
				return began, err
			}
		}
	}
	return began, nil
}

// openStream opens the i-th watcher's stream on a connection, also for the next ones if it has several tasks.
func (w *watchers) openStream(c *wire.Conn, i int) error {
	id, token := w.who(i)
	method, watch := taskv1.TaskService_WatchTask_FullMethodName, proto.Message(&taskv1.WatchTaskRequest{TaskId: id})
	if w.perStream > 1 {
		list := &taskv1.WatchTasksRequest{}
		for j := range w.perStream {
			id, _ := w.who(i + j)
			list.TaskIds = append(list.TaskIds, id)
		}
		method, watch = taskv1.TaskService_WatchTasks_FullMethodName, list
	}
	request, err := proto.Marshal(watch)
	if err != nil {
		return err
	}
	_, err = c.Open(method, token, wire.Message(request), false)
	return err
}

// dialGRPC opens a connection, and reads it until it ends. The watchers of a silent one are not counted, and it is not
// read after the order to stall.
func (w *watchers) dialGRPC(silent bool) (*wire.Conn, error) {
	c, err := wire.Dial(w.addr)
	if err != nil {
		return nil, err
	}
	go w.serve(c, func(content []byte) {
		switch {
		case silent:
			if w.stalled.Load() {
				select {}
			}
		case len(content) > 5 && content[5] == heartbeat:
			w.heartbeats.Add(1)
		default:
			w.message(content)
		}
	})
	return c, nil
}

// serve reads a connection until it ends, and calls data for the content of each frame.
func (w *watchers) serve(c *wire.Conn, data func(content []byte)) {
	err := c.Serve(func(_ uint32, content []byte) error {
		data(content)
		return nil
	}, func(_ uint32, status string) error {
		w.end("with gRPC status " + status)
		return nil
	})
	w.end(err.Error())
}
