package server_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// head is the text of a GET with the token.
func head(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: kootask.test\r\nAuthorization: Bearer " + token + "\r\n\r\n"
}

// closeWrite closes the client's side of a connection.
func closeWrite(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// hello returns a connection to the HTTP port, with TLS if config is not nil.
func (s *system) hello(t *testing.T, config *tls.Config) net.Conn {
	t.Helper()
	conn, err := s.httpPort.Dial(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if config == nil {
		return conn
	}
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	return tls.Client(conn, config)
}

// bothBubbles runs test without and with TLS.
func bothBubbles(t *testing.T, test func(t *testing.T, s *system, config *tls.Config)) {
	t.Helper()
	bubble(t, nil, func(t *testing.T, s *system) { test(t, s, nil) })
	secureBubble(t, nil, func(t *testing.T, s *system, a *authorities) { test(t, s, a.config(nil)) })
}

// A client that closes its side after a GET gets its answer, however long KooDrive takes, as some balancers do that.
func TestHalfClosedGetIsAnswered(t *testing.T) {
	for _, latency := range []time.Duration{0, 5 * time.Second} {
		bothBubbles(t, func(t *testing.T, s *system, config *tls.Config) {
			s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: 1, Fault: &koodrivetest.Fault{Latency: latency}}}})
			conn := s.hello(t, config)
			if _, err := io.WriteString(conn, head("/v1/tasks/"+taskID)); err != nil {
				t.Fatal(err)
			}
			closeWrite(t, conn)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("KooDrive takes %v: %v, %v", latency, resp, err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(body), "TASK_STATUS_EXECUTING") {
				t.Errorf("KooDrive takes %v: %s, %v", latency, body, err)
			}
		})
	}
}

// If a client closes its side, the call still ends at its own limit. If its connection breaks, the call ends at once.
func TestHalfClosedGetIsBounded(t *testing.T) {
	for outcome, resets := range map[string]bool{"UPSTREAM_TIMEOUT": false, "CALLER_CANCELLED": true} {
		t.Run(outcome, func(t *testing.T) {
			bothBubbles(t, func(t *testing.T, s *system, config *tls.Config) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Fault: &koodrivetest.Fault{Hang: true}}}})
				s.resets.Store(resets)
				conn := s.hello(t, config)
				_, _ = io.WriteString(conn, head("/v1/tasks/"+taskID))
				time.Sleep(time.Second)
				if config == nil {
					closeWrite(t, conn)
				} else {
					closeWrite(t, conn.(*tls.Conn).NetConn())
				}
				synctest.Wait()
				if log := s.calls(); strings.Contains(log, outcome) != resets {
					t.Errorf("at once, the log: %s", log)
				}
				time.Sleep(service.GetTimeout)
				if log := s.calls(); strings.Count(log, `"outcome":"`+outcome+`"`) != 1 {
					t.Errorf("after %v, the log: %s", service.GetTimeout, log)
				}
			})
		})
	}
}

// A watch ends at most 2 s after its client closes, whatever the client has sent meanwhile: nothing, a stray line end, another
// request, or many.
func TestWatchEndsWhenItsClientCloses(t *testing.T) {
	for name, sent := range map[string]string{
		"nothing": "", "a line end": "\r\n", "a request": head("/openapi.json"), "many requests": strings.Repeat(head("/openapi.json"), 8),
	} {
		for _, accept := range []string{ndjson, sse} {
			for _, half := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/half=%v", name, accept, half), func(t *testing.T) {
					bothBubbles(t, func(t *testing.T, s *system, config *tls.Config) {
						s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
						conn := s.hello(t, config)
						_, err := io.WriteString(conn, strings.Replace(head("/v1/tasks/"+taskID+":watch"), "\r\n\r\n", "\r\nAccept: "+accept+"\r\n\r\n", 1))
						if err != nil {
							t.Fatal(err)
						}
						ended := make(chan struct{})
						go func() {
							defer close(ended)
							_, _ = io.Copy(io.Discard, conn)
						}()
						time.Sleep(time.Second)
						for part := range strings.SplitAfterSeq(sent, "\n") { // In several pieces.
							_, _ = io.WriteString(conn, part)
							synctest.Wait()
						}
						time.Sleep(time.Second)
						if log := s.calls(); log != "" {
							t.Fatalf("before: %s", log)
						}
						if half {
							closeWrite(t, conn)
							if over, ok := conn.(*tls.Conn); ok { // During a watch, close_notify is not read.
								closeWrite(t, over.NetConn())
							}
						} else {
							_ = conn.Close()
						}
						time.Sleep(2 * time.Second)
						if log := s.calls(); strings.Count(log, `"outcome":"CALLER_CANCELLED"`) != 1 {
							t.Errorf("half: %v, TLS: %v: the log: %s", half, config != nil, log)
						}
						asked := s.koodrive.Count()
						if time.Sleep(time.Minute); s.koodrive.Count() != asked {
							t.Error("KooDrive is still polled")
						}
						_ = conn.Close()
						<-ended
					})
				})
			}
		}
	}
}

// Data that a client sends during a watch is its next request, which is answered after the watch.
func TestRequestsDuringAWatchAreAnsweredAfterIt(t *testing.T) {
	bothBubbles(t, func(t *testing.T, s *system, config *tls.Config) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1, 2)})
		conn := s.hello(t, config)
		if _, err := io.WriteString(conn, head("/v1/tasks/"+taskID+":watch")); err != nil {
			t.Fatal(err)
		}
		answers := bufio.NewReader(conn)
		watch, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := io.WriteString(conn, head("/v1/tasks/"+exampleID)); err != nil {
				t.Fatal(err)
			}
		}
		if lines, err := io.ReadAll(watch.Body); err != nil || !strings.HasSuffix(string(lines), "{\"end\":{}}\n") {
			t.Errorf("the watch: %s, %v", lines, err)
		}
		for range 3 {
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), exampleID) {
				t.Errorf("the next request: %s %s, %v", resp.Status, body, err)
			}
		}
		time.Sleep(time.Minute)
		if _, err := io.WriteString(conn, head("/v1/tasks/"+exampleID)); err != nil { // The connection is open.
			t.Fatal(err)
		}
		if resp, err := http.ReadResponse(answers, nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("a minute later: %v, %v", resp, err)
		}
	})
}
