package server_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// If a client leaves an HTTP route, by cancelling a request or by closing the connection, its request ends at once, is
// logged, and causes no more requests to KooDrive. Over HTTP/1.1 a call goes on until its own limit, since the client may
// have closed only its side.
func TestLeaving(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		for _, way := range []string{"gives up", "hangs up"} {
			for name, row := range map[string]struct {
				path, accept string
				fault        *koodrivetest.Fault
			}{
				"lines":                    {":watch", ndjson, nil},
				"events":                   {":watch", sse, nil},
				"lines, KooDrive is slow":  {":watch", ndjson, &koodrivetest.Fault{Hang: true}},
				"events, KooDrive is slow": {":watch", sse, &koodrivetest.Fault{Hang: true}},
				"REST":                     {"", "", &koodrivetest.Fault{Hang: true}},
			} {
				t.Run(protocol+" "+way+" "+name, func(t *testing.T) {
					bubble(t, nil, func(t *testing.T, s *system) {
						s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
						s.koodrive.SetFault(row.fault)
						var conn net.Conn
						transport := s.http.Transport.(*http.Transport)
						if protocol == "HTTP/2.0" {
							h2c(s.http)
						}
						transport.DialContext = func(ctx context.Context, network, address string) (_ net.Conn, err error) {
							conn, err = s.httpPort.Dial(ctx, network, address)
							return conn, err
						}
						ctx, giveUp := context.WithCancel(t.Context())
						defer giveUp()
						var client sync.WaitGroup
						client.Go(func() {
							resp, err := s.http.Do(request(ctx, t, "/v1/tasks/"+taskID+row.path, "Accept", row.accept))
							if err != nil {
								return
							}
							defer resp.Body.Close()
							if resp.Proto != protocol {
								t.Errorf("the answer is %s", resp.Proto)
							}
							parse(t, row.accept, resp.Body, func(event) {})
						})
						time.Sleep(time.Second)
						if n := s.koodrive.Count(); n == 0 || strings.Contains(s.log.String(), `"msg":"call"`) {
							t.Fatalf("KooDrive got %d requests; the log: %s", n, s.log)
						}
						if way == "gives up" {
							giveUp()
						} else {
							_ = conn.Close()
						}
						synctest.Wait()
						outcome := "CALLER_CANCELLED"
						if protocol == "HTTP/1.1" && name == "REST" {
							time.Sleep(service.GetTimeout)
							outcome = "UPSTREAM_TIMEOUT"
						}
						if log := s.calls(); strings.Count(log, `"outcome":"`+outcome+`"`) != 1 {
							t.Errorf("the log: %s", log)
						}
						requests := s.koodrive.Requests()
						if last := requests[len(requests)-1]; last.Ended.IsZero() {
							t.Error("the request to KooDrive is still in flight")
						}
						if time.Sleep(time.Minute); s.koodrive.Count() != len(requests) {
							t.Errorf("KooDrive got %d more requests", s.koodrive.Count()-len(requests))
						}
						client.Wait()
					})
				})
			}
		}
	}
}
