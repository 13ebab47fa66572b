package server_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/bounded"
	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/service/reason"
)

// ways are the ways in which the path to KooDrive can hang, each with the duration of an attempt and its error.
var ways = []struct {
	name   string
	proxy  bool
	hang   func(*lane, context.Context) (net.Conn, error)
	limit  time.Duration
	reason string
}{
	{"KooDrive accepts and says nothing", false, accepting(func(l *lane, conn net.Conn) { begins("", "")(l, conn) }), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips its header", false, accepting(begins("HTTP/1.1 200 OK\r\nX-Pad: ", "x")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips its body", false, accepting(begins("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", " ")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips chunks", false, accepting(begins("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips a body without end", false, accepting(begins("HTTP/1.1 200 OK\r\n\r\n{", " ")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive drips a refusal", false, accepting(begins("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\n{", " ")), 20 * time.Second, "UPSTREAM_UNAVAILABLE"},
	{"KooDrive switches protocols", false, accepting(begins("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "")), 0, "UPSTREAM_CONTRACT_VIOLATION"},
	{"KooDrive switches protocols and drips", false, accepting(begins("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "x")), 0, "UPSTREAM_CONTRACT_VIOLATION"},
	{"KooDrive drips 103", false, accepting(begins("", "HTTP/1.1 103 Early Hints\r\n\r\n")), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive hangs in TLS", false, accepting(silent), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"KooDrive reads nothing", false, accepting(unread), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport does not return from TLS", false, ignoring(1, many), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport does not return from writing", false, ignoring(many, 2), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport does not return from the header", false, ignoring(3, many), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport does not return from the body", false, ignoring(4, many), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the transport cannot even close", false, ignoring(4, 3), 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the proxy accepts and says nothing", true, accepting(silent), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the proxy reads nothing", true, accepting(unread), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the proxy hangs after CONNECT", true, accepting(func(l *lane, conn net.Conn) {
		tunnel(conn)
		silent(l, conn)
	}), 5 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the resolver never answers", false, func(_ *lane, ctx context.Context) (net.Conn, error) {
		<-ctx.Done()
		return nil, &net.DNSError{Err: ctx.Err().Error(), Name: "koodrive.test", IsTimeout: true}
	}, 10 * time.Second, "UPSTREAM_TIMEOUT"},
	{"the resolver never returns", false, func(l *lane, _ context.Context) (net.Conn, error) {
		<-l.released
		return nil, net.ErrClosed
	}, 10 * time.Second, "UPSTREAM_TIMEOUT"},
}

// Whatever hangs on the path to KooDrive, an attempt ends at its limit with its reason and frees its slot. Once the path works
// again, the next call is answered at once, and so is the watch with its next poll. A stop waits for none of it.
func TestDeadlineMatrix(t *testing.T) {
	for _, way := range ways {
		for name, check := range map[string]func(*testing.T, *system, *lane){
			"get":   func(t *testing.T, s *system, l *lane) { getHangs(t, s, l, way.limit, way.reason) },
			"watch": func(t *testing.T, s *system, l *lane) { watchHangs(t, s, l, way.limit, way.reason) },
			"drain": func(t *testing.T, s *system, _ *lane) { drainHangs(t, s, way.limit) },
		} {
			t.Run(way.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				l := &lane{viaProxy: way.proxy, hang: way.hang}
				l.hangs.Store(true)
				bubble(t, l.configure, func(t *testing.T, s *system) {
					check(t, s, l)
					s.stop()
					err := <-s.stopped // Before anything is released.
					s.stopped <- err
					close(l.released) // All goroutines must then end, or the bubble fails.
					l.peers.Wait()
				})
			})
		}
	}
}

func getHangs(t *testing.T, s *system, l *lane, limit time.Duration, want string) {
	var all sync.WaitGroup
	start := time.Now()
	for _, id := range []string{"t-1", "t-2", "t-3"} { // One more than there are slots.
		all.Go(func() {
			_, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: id})
			name, _ := reason.Read(status.Convert(err))
			if took := time.Since(start); took > limit+2*bounded.Obedience+time.Second || name != want && name != "SERVER_OVERLOADED" {
				t.Errorf("%v after %v", err, took)
			}
		})
	}
	all.Wait()
	l.free(t, s)
	start = time.Now()
	for range 3 {
		if _, err := s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID, MaxAge: noAge}); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(start); took > 100*time.Millisecond {
		t.Errorf("three calls took %v", took)
	}
}

func watchHangs(t *testing.T, s *system, l *lane, limit time.Duration, want string) {
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	told, answered := make(chan string, 1), make(chan bool, 1)
	go s.followGRPC(ctx, exampleID, func(e event) {
		why := e.beat.GetFailureReason()
		if e.err != nil {
			why, _ = reason.Read(status.Convert(e.err))
		}
		if why != "" {
			select {
			case told <- why:
			default: // It was released before.
			}
		}
		if e.task != nil {
			select {
			case answered <- true:
			default:
			}
		}
	})
	start := time.Now()
	if got := <-told; got != want {
		t.Errorf("the watch says %s", got)
	}
	if took := time.Since(start); took > limit+bounded.Obedience+service.DefaultHeartbeat {
		t.Errorf("it says so after %v", took)
	}
	<-time.After(time.Minute)
	l.hangs.Store(false)
	if limit == 0 { // The first answer was the call's own.
		leave()
	} else {
		<-answered
		if took := time.Since(start); took > 4*time.Minute {
			t.Errorf("the task is there after %v", took)
		}
	}
	<-time.After(limit + time.Second)
	l.free(t, s)
}

// drainHangs stops the server. A call that is sent twice may take longer than the grace, and is then cut off.
func drainHangs(t *testing.T, s *system, limit time.Duration) {
	var all sync.WaitGroup
	for _, id := range []string{"t-1", "t-2"} {
		all.Go(func() { s.followGRPC(t.Context(), id, func(event) {}) })
	}
	all.Go(func() { _, _ = s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: "t-3"}) })
	<-time.After(time.Second)
	start := time.Now()
	s.stop()
	err := <-s.stopped
	const cutOff = 250 * time.Millisecond // What the end of the calls may take then.
	if took := time.Since(start); err != nil && limit < server.DefaultGrace || took > server.DefaultGrace+cutOff {
		t.Errorf("stopped with %v after %v", err, took)
	}
	s.stopped <- nil
	all.Wait()
}
