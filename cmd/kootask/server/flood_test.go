package server_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/logging"
	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/certificates"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// sampled makes a server log as `kootask serve` does, at debug level.
func sampled(to *buffer) func(*server.Config) {
	return func(c *server.Config) {
		log := logging.New(to, func(to io.Writer) slog.Handler {
			return slog.NewJSONHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug})
		})
		c.Log, c.LogMetrics = log.Logger, log
	}
}

// logLine is a line that may be sampled.
type logLine struct {
	Msg, Peer, Outcome, Code string
	LeftOut                  int `json:"left_out"`
}

func logLines(t *testing.T, log *buffer) (all []logLine) {
	t.Helper()
	for text := range strings.Lines(log.String()) {
		var l logLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		all = append(all, l)
	}
	return all
}

// An address that fails or leaves causes at most ten lines per second and one that counts the rest, at every door. The metrics
// count all. Successful calls, and calls of other addresses, keep their lines.
func TestFloodsAreSampled(t *testing.T) {
	const n = 200
	get := func(id, path string) func(*testing.T, *system) {
		return func(t *testing.T, s *system) {
			t.Helper()
			r := request(t.Context(), t, path+id)
			resp, err := s.http.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	for name, row := range map[string]struct {
		do              func(*testing.T, *system)
		outcome, metric string
	}{
		"calls over gRPC that fail": {func(t *testing.T, s *system) {
			_, _ = s.tasks.GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: "list"})
		}, "TASK_ID_INVALID", `kootask_failures_total{outcome="TASK_ID_INVALID",port="grpc"}`},
		"watches over gRPC that are left": {func(t *testing.T, s *system) {
			ctx, leave := context.WithCancel(as(t.Context(), token))
			stream, err := s.tasks.WatchTask(ctx, &taskv1.WatchTaskRequest{TaskId: taskID})
			if err == nil {
				_, err = stream.Recv()
			}
			leave()
			if err != nil {
				t.Fatal(err)
			}
		}, "CALLER_CANCELLED", `kootask_failures_total{outcome="CALLER_CANCELLED",port="grpc"}`},
		"calls over HTTP that fail":           {get("list", "/v1/tasks/"), "TASK_ID_INVALID", `kootask_failures_total{outcome="TASK_ID_INVALID",port="http"}`},
		"requests that the HTTP port refuses": {get("1?a=b", "/v1/tasks/"), "QUERY_INVALID", `kootask_http_refused_total{outcome="QUERY_INVALID"}`},
		"requests for a missing route":        {get("", "/v2"), "ROUTE_NOT_FOUND", `kootask_http_refused_total{outcome="ROUTE_NOT_FOUND"}`},
	} {
		t.Run(name, func(t *testing.T) {
			log := &buffer{}
			bubble(t, sampled(log), func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: steps(1)})
				start := time.Now()
				for range n {
					row.do(t, s)
				}
				seconds := int(time.Since(start)/time.Second) + 1
				s.comeFrom("192.0.2.2:1000")
				for range 3 {
					_, err := taskv1.NewTaskServiceClient(s.dial(t)).GetTask(as(t.Context(), token), &taskv1.GetTaskRequest{TaskId: exampleID})
					if err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(2 * logging.SamplePeriod)
				failed, leftOut, succeeded := 0, 0, 0
				for _, l := range logLines(t, log) {
					switch {
					case l.Outcome == row.outcome && l.Peer == "192.0.2.1" && l.LeftOut > 0:
						leftOut += l.LeftOut
					case l.Outcome == row.outcome:
						failed++
					case l.Code == "OK" && l.Peer == "192.0.2.2":
						succeeded++
					}
				}
				if failed > seconds*logging.SampleFirst || failed+leftOut != n || succeeded != 3 {
					t.Errorf("within %d s %d lines of failures, which count %d others, and %d of successes", seconds, failed, leftOut, succeeded)
				}
				if got := s.scrape(t)[row.metric]; got != n {
					t.Errorf("%s is %v", row.metric, got)
				}
			})
		})
	}
}

// Broken connections are sampled too, and their lines quote nothing that was received.
func TestFloodsOfBrokenConnectionsAreSampled(t *testing.T) {
	const (
		n, junk  = 100, "canary-junk"
		preface  = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
		settings = "\x00\x00\x00\x04\x00\x00\x00\x00"
	)
	for name, row := range map[string]struct {
		serves, speaks bool // TLS: the server and its client.
		send           string
	}{
		"not TLS":                  {true, false, "GET /" + junk + " HTTP/1.1\r\n\r\n"},
		"not HTTP/2":               {true, true, "GET /" + junk + " HTTP/1.1\r\n\r\n"},
		"settings of a stream":     {false, false, preface + settings + "\x01" + junk},
		"a frame that is too long": {false, false, preface + settings + "\x00" + junk}, // Its lines name no client.
	} {
		t.Run(name, func(t *testing.T) {
			log := &buffer{}
			configure := func(c *server.Config) {
				sampled(log)(c)
				if row.serves {
					certificate := certificates.NewCA().Server("kootask.test").TLS
					c.TLS = func() server.TLS { return server.TLS{Certificate: certificate} }
				}
			}
			bubble(t, configure, func(t *testing.T, s *system) {
				var all sync.WaitGroup
				for range n {
					all.Go(func() {
						conn, err := s.httpPort.Dial(t.Context(), "", "")
						if err != nil {
							t.Error(err)
							return
						}
						if row.speaks {
							conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
						}
						_, _ = io.WriteString(conn, row.send)
						_, _ = io.Copy(io.Discard, conn)
						_ = conn.Close()
					})
				}
				all.Wait()
				time.Sleep(2 * logging.SamplePeriod)
				lines, leftOut := 0, 0
				for _, l := range logLines(t, log) {
					if leftOut += l.LeftOut; l.LeftOut == 0 {
						lines++
					}
				}
				// A connection causes a line when it fails, and maybe another one a minute later, when it is given up.
				if lines == 0 || lines > 2*logging.SampleFirst || (lines+leftOut)%n != 0 || strings.Contains(log.String(), junk) {
					t.Errorf("%d lines, which count %d others:\n%.2000s", lines, leftOut, log)
				}
			})
		})
	}
}
