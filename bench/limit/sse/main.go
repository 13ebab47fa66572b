// Command sse is the limit of server-sent events: a handler of net/http that writes each event, encoded once, to its
// connection.
package main

import (
	"flag"
	"log"
	"net/http"
	"sync/atomic"

	"github.com/kootask/kootask/bench/control"
	"github.com/kootask/kootask/bench/task"
)

// change is one in the list of all. next may be read once ready is closed.
type change struct {
	event []byte
	ready chan struct{}
	next  *change
}

type events struct {
	control.State
	last atomic.Pointer[change]
}

func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := e.last.Load()
	e.Open.Add(1)
	defer e.Open.Add(-1)
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	if out.Flush() != nil {
		return
	}
	for {
		select {
		case <-c.ready:
		case <-r.Context().Done():
			return
		}
		c = c.next
		if _, err := w.Write(c.event); err != nil || out.Flush() != nil {
			return
		}
	}
}

func (e *events) change() {
	version, pad := e.Last()
	event, err := task.Event(task.New(task.ID, version, pad, false))
	if err != nil {
		log.Fatal(err)
	}
	c := &change{event: event, ready: make(chan struct{})}
	e.Tell(version)
	before := e.last.Swap(c)
	before.next = c
	close(before.ready)
}

func main() {
	addr := flag.String("addr", "", "address of the port")
	ctl := flag.String("control", "", "address of the control port")
	flag.Parse()
	e := &events{}
	e.last.Store(&change{ready: make(chan struct{})})
	go func() { log.Fatal(e.Serve(*ctl, e.change)) }()
	log.Fatal(control.Listen(*addr, e))
}
