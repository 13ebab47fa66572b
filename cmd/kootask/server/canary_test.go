package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/kootask/kootask/cmd/kootask/server"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// everyCredential has one credential of each kind, each with a canary. Other tests use the bearer token.
var everyCredential = map[string]struct {
	header    []string // Beside the user.
	sent      string   // Every request to KooDrive begins so.
	configure func(*server.Config)
}{
	"a carrier's token": {[]string{"authorization", "AT " + atToken}, "AT " + atToken, nil},
	"a signature":       {[]string{"authorization", signed, "x-date", "20240831T143829Z"}, signed, nil},
	"an app's secret":   {nil, "HMAC-SHA256 AppId=app,", appMode("s3cr3t")},
}

const signed = "HMAC-SHA256 AppId=app,SignedHeaders=x-date;x-user-id,Signature=" + signature

// No answer of KooDrive leaks to any caller: the fixture searches everything that is sent.
func TestCanariesInEveryCredential(t *testing.T) {
	t.Parallel()
	for name, credential := range everyCredential {
		for row, outcome := range outcomeRows {
			t.Run(name+" "+row, func(t *testing.T) {
				bubble(t, credential.configure, func(t *testing.T, s *system) {
					task := koodrivetest.Example()
					task.ID = taskID
					s.koodrive.SetTask(task)
					s.koodrive.AddToken("AT "+atToken, 0)
					s.koodrive.AddApp("app", "s3cr3t")
					s.koodrive.SetFault(outcome.fault)
					header := append([]string{"x-user-id", koodrivetest.Example().UserID}, credential.header...)
					for _, door := range doors {
						time.Sleep(2 * time.Minute) // After a rate limit, requests are withheld.
						s.fail(t.Context(), t, door, call{id: taskID, header: header})
					}
					for _, door := range listDoors { // Some of the failures drop the task, and the stream ends well.
						time.Sleep(2 * time.Minute)
						_ = s.try(t.Context(), t, door, call{id: taskID, header: header})
					}
					sent := s.koodrive.Requests()[0].Header
					if sent.Get("X-User-Id") != koodrivetest.Example().UserID || !strings.HasPrefix(sent.Get("Authorization"), credential.sent) {
						t.Errorf("KooDrive got %v", sent)
					}
				})
			})
		}
	}
}

// Data in the wrong place or in an invalid form.
func TestCanariesInBadRequests(t *testing.T) {
	names := []string{
		"authorization", "x-user-id", "x-date", "language", "x-request-id", "traceparent", "tracestate", "cookie", "referer", "user-agent",
		"accept", "accept-language", "content-type", "content-encoding", "origin", "range", "last-event-id", "grpc-timeout", "grpc-encoding",
		"grpc-metadata-authorization", "x-forwarded-for", "x-forwarded-host", "x-http-method-override", "access-control-request-method", "te",
	}
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, name := range names {
			for _, value := range []string{junk + " <1>", "Bearer " + junk + "\xff", strings.Repeat(junk+",", 100), junk + ";" + junk + "=" + junk} {
				for _, accept := range []string{"application/json", ndjson, sse} {
					r := request(t.Context(), t, "/v1/tasks/unknown"+map[string]string{ndjson: ":watch", sse: ":watch"}[accept], "Accept", accept)
					r.Header[http.CanonicalHeaderKey(name)] = []string{value}
					s.get(t, r)
				}
			}
			// Go's gRPC client sends no reserved names.
			ctx := metadata.AppendToOutgoingContext(t.Context(), append([]string{name, junk + " <1>", "x-token-bin", junk}, bearer...)...)
			_, err := s.tasks.GetTask(ctx, &taskv1.GetTaskRequest{TaskId: "unknown"})
			if err == nil {
				t.Errorf("%s: the task is there", name)
			}
		}
		for _, target := range []string{
			"/" + junk, "/v1/" + junk + "/1", "/v1/tasks/" + junk + "%20", "/v1/tasks/" + junk + "%2f:watch", "/v1/tasks/%ff" + junk, "/v1/tasks/1/" + junk,
			"/v1/tasks/1:" + junk, "/v1/tasks/1?access_token=" + junk, "/v1/tasks/1?" + junk, "/v1/tasks/1?" + junk + "=%zz", "/v1/tasks/1?a;" + junk,
			"/v1/tasks/1?maxAge=" + junk, "/v1/tasks/1?failedTaskAsError=" + junk, "/v1/tasks/1:watch?token=" + junk,
		} {
			s.raw(t, s.httpPort, "GET "+target+" HTTP/1.1\r\nHost: "+junk+".test\r\nAuthorization: Bearer "+token+"\r\nConnection: close\r\n\r\n")
		}
		for _, method := range []string{"POST", "DELETE", "OPTIONS", junk} {
			s.raw(t, s.httpPort, method+" /v1/tasks/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 16\r\n\r\n"+junk)
		}
		for _, id := range []string{junk + "\n", "<" + junk + ">", strings.Repeat(junk, 10)} {
			for _, door := range grpcDoors {
				s.fail(t.Context(), t, door, call{id: id, header: bearer})
			}
		}
	})
}

// Malformed HTTP, which the libraries answer and log in their own words.
func TestCanariesInMalformedHTTP(t *testing.T) {
	const get, preface = "GET /v1/tasks/1 HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\n"
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, text := range []string{
			junk + "\r\n\r\n", junk + junk + " HTTP/1.1\r\n\r\n", "GET /" + junk + "\r\n\r\n", "GET / " + junk + "\r\n\r\n",
			"GET /%" + junk + " HTTP/1.1\r\n\r\n", get + "Host: " + junk + " \x01\r\n\r\n", get + "Host: a\r\nHost: " + junk + "\r\n\r\n",
			get + junk + "\r\n\r\n", get + "Host: a\r\n" + junk + " : b\r\n\r\n", get + "Host: a\r\nAuthorization: " + junk + "\x00\r\n\r\n",
			get + "Host: a\r\nTransfer-Encoding: " + junk + "\r\n\r\n", get + "Host: a\r\nContent-Length: " + junk + "\r\n\r\n",
			get + "Host: a\r\nExpect: " + junk + "\r\n\r\n", get + "Host: a\r\nUpgrade: " + junk + "\r\nConnection: upgrade\r\n\r\n",
			preface + junk + junk, preface + "SM\r\n\r\n" + junk + junk, preface + "SM\r\n\r\n" + "\x00\x00\x10\x07\x00\x00\x00\x00\x00" + junk,
		} {
			for _, port := range []*koodrivetest.Listener{s.httpPort, s.adminPort, s.grpcPort} {
				s.raw(t, port, text)
			}
		}
	})
}

// raw sends a text as it is, and searches the answer until the server closes the connection.
func (s *system) raw(t *testing.T, port *koodrivetest.Listener, text string) {
	t.Helper()
	answer, _ := io.ReadAll(raw(t, port, text))
	s.out.add(inError, string(answer))
}

// The operator reads metrics and profiles in the middle of a watch, on every surface and with every credential; then the server
// stops.
func TestCanariesInMidWatch(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		task := koodrivetest.Example()
		task.ID, task.Steps = taskID, steps(1)
		s.koodrive.SetTask(task)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var all sync.WaitGroup
		everySurface := append(slices.Clone(surfaces), "a stranger")
		for _, surface := range everySurface {
			all.Go(func() {
				if surface != "a stranger" {
					s.watch(ctx, t, surface, taskID)
					return
				}
				v := s.fail(ctx, t, "grpc watch", call{id: taskID, header: everyCredential["a carrier's token"].header})
				if v.code != codes.Unauthenticated {
					t.Errorf("a stranger: %+v", v)
				}
			})
		}
		synctest.Wait()
		s.out.look(s)
		leave()
		all.Wait()
		if s.out.pieces[inTask] == 0 || s.out.pieces[inDump] == 0 || s.out.pieces[inMetrics] == 0 {
			t.Errorf("searched: %v", s.out.pieces)
		}
	})
}

// Network errors name the address that cannot be reached. No error may name the requested task.
func TestCanariesInTransportErrors(t *testing.T) {
	for name, err := range map[string]error{
		"refused": &net.OpError{Op: "dial", Net: "tcp", Err: errors.New(network)},
		"unknown": &net.DNSError{Err: network, Name: "koodrive.test"},
		"other":   errors.New(canary),
	} {
		t.Run(name, func(t *testing.T) {
			unreachable := func(c *server.Config) {
				c.Upstream.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, err }
			}
			bubble(t, unreachable, func(t *testing.T, s *system) {
				for range 5 { // Until the circuit is open, and a few more.
					for _, door := range doors {
						s.fail(t.Context(), t, door, call{id: taskID, header: bearer})
					}
				}
				if log := s.log.String(); !strings.Contains(log, "UPSTREAM_CIRCUIT_OPEN") {
					t.Error("the circuit did not open")
				}
			})
		})
	}
}

// Planted canaries are found in each place, except where they are allowed.
func TestPlantedCanariesAreFound(t *testing.T) {
	plants := map[place]func(s *system, text string){
		inLog:    func(s *system, text string) { fmt.Fprintf(s.log, "{\"error\":%q}\n", text) },
		inHeader: func(s *system, text string) { s.out.response(&http.Response{Header: http.Header{"X-Debug": {text}}}) },
		inMetrics: func(s *system, text string) {
			s.admin = &http.Client{Transport: answering(fmt.Sprintf("kootask_calls_total{token=%q} 1\n", text))}
			s.out.look(s)
		},
		inError: func(s *system, text string) {
			st, _ := status.New(codes.Internal, "no").WithDetails(&taskv1.GetTaskRequest{TaskId: text})
			s.out.HandleRPC(context.Background(), &stats.End{Error: st.Err()})
		},
		inEvent: func(s *system, text string) { s.out.event(event{name: "heartbeat", data: text}) },
		inTask:  func(s *system, text string) { s.out.event(event{name: "task", data: text}) },
	}
	for where, plant := range plants {
		for text, allowed := range map[string]place{token: "", canary: "", network: inLog, koodrivetest.Example().UserID: inTask} {
			s := &system{log: &buffer{}, out: newEvidence()}
			plant(s, text)
			s.out.add(inLog, s.log.String())
			if found := len(s.out.found) > 0; found == (where == allowed) {
				t.Errorf("%q in %s: %v", text, where, s.out.found)
			}
		}
	}
}

// answering is a transport that gives the same body every time.
type answering string

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}
