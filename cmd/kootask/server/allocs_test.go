//go:build !race

package server_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A stream sleeps on 8 KiB of stack, and its goroutine that notices the client's close on 4 to 8.
// Go halves a stack at a garbage collection if less than a quarter of it is in use, so the handler's 16 KiB shrink only while
// the frames of the functions that have not returned take at most 3.2 KiB.
func TestAllocsOfStreamsStack(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{For: time.Hour}}})
		open := func() net.Conn {
			conn, err := s.httpPort.Dial(context.Background(), "", "")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(conn, "GET /v1/tasks/%s:watch HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nAuthorization: Bearer %s\r\n\r\n", taskID, token)
			for in := bufio.NewReader(conn); ; {
				if line, err := in.ReadString('\n'); err != nil {
					t.Fatal(err)
				} else if strings.HasPrefix(line, "event: task") {
					return conn
				}
			}
		}
		defer open().Close() // What the first one needs stays.
		const streams = 200
		before := stacks()
		for range streams {
			defer open().Close()
		}
		time.Sleep(time.Second) // Reading for the client's close begins.
		if each := (stacks() - before) / streams; each > 16<<10 {
			t.Errorf("a stream has %d B of stack", each)
		}
	})
}

// stacks returns the size of all stacks when they have shrunk as far as they can.
func stacks() int {
	var m runtime.MemStats
	for range 4 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.StackInuse)
}
