package main

import (
	"bytes"
	"fmt"
	"net"
	"time"

	"github.com/kootask/kootask/bench/task"
)

// addresses is the number of loopback addresses that the connections come from: kootask allows each only half of them.
const addresses = 4

// openLines opens watches over HTTP/1.1, each on its own connection, and returns when it began.
func (w *watchers) openLines() (began time.Time, err error) {
	accept := "text/event-stream"
	if w.kind == "ndjson" {
		accept = "application/x-ndjson"
	}
	began = time.Now()
	for i := range w.n {
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%addresses))}}
		c, err := from.Dial("tcp", w.addr)
		if err != nil {
			return began, err
		}
		id, token := w.who(i)
		const request = "GET /v1/tasks/%s:watch HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\nAuthorization: Bearer %s\r\n\r\n"
		if _, err := fmt.Fprintf(c, request, id, accept, token); err != nil {
			return began, err
		}
		go w.readLines(c)
		if i%ahead == ahead-1 {
			if err := w.awaitOpen(i - ahead/4); err != nil {
				return began, err
			}
		}
	}
	return began, nil
}

// readLines reads a connection until it ends. It counts a watcher as open with the end of the header, or with the
// first task if that is awaited.
func (w *watchers) readLines(c net.Conn) {
	first := []byte("\r\n\r\n")
	if w.waitForFirst {
		first = []byte(task.Token(0))
	}
	buffer, kept, opened := make([]byte, 2048), 0, false
	for {
		n, err := c.Read(buffer[kept:])
		if err != nil {
			w.end(err.Error())
			return
		}
		text, wanted := buffer[:kept+n], first
		r := w.now.Load()
		if opened && r != nil {
			wanted = r.token
		}
		if i := bytes.Index(text, wanted); i >= 0 && (!opened || r != nil) {
			text = text[i+len(wanted):]
			if opened {
				r.hit(1)
			} else {
				opened = true
				w.opened.add(1)
			}
		}
		// A token may be cut in two.
		kept = copy(buffer, text[max(0, len(text)-len(wanted)+1):])
	}
}
