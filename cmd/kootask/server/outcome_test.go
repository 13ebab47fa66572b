package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestOutcomesAreTheSameAtEveryDoor(t *testing.T) {
	t.Parallel()
	if len(outcomeRows) < 30 {
		t.Fatalf("%d rows", len(outcomeRows))
	}
	for name, row := range outcomeRows {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Name: canary})
				s.koodrive.SetFault(row.fault)
				asked := 0
				for _, door := range doors {
					time.Sleep(2 * time.Minute) // After a rate limit, requests are withheld.
					row.check(t, door, s.fail(t.Context(), t, door, call{id: taskID, header: bearer}))
					want := 1
					if row.retry && row.reason != "UPSTREAM_RATE_LIMITED" && slices.Contains(getDoors, door) {
						want = 2 // Failures that may pass are retried.
					}
					if n := s.koodrive.Count() - asked; n != want {
						t.Errorf("%s: KooDrive got %d requests", door, n)
					}
					asked = s.koodrive.Count()
				}
			})
		})
	}
}

// In app mode the credential is ours: a rejection is not the caller's fault.
func TestAppMode(t *testing.T) {
	misconfigured := outcomeRow{code: codes.Internal, reason: "SERVER_MISCONFIGURED", http: 500}
	notFound := outcomeRow{code: codes.NotFound, reason: "TASK_NOT_FOUND", http: 404, upstream: " "}
	for name, row := range map[string]struct {
		fault *koodrivetest.Fault
		want  outcomeRow
	}{
		"401":                {body(401, canary), misconfigured},
		"400 without a code": {body(400, canary), misconfigured},
		"401 APIG.0303":      {apig(401, "APIG.0303"), misconfigured},
		"not found":          {code(400, "13000309"), notFound},
		"no permission":      {code(400, "13000410"), notFound},
		"403, no permission": {code(403, "13000410"), notFound},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, appMode("s3cr3t"), func(t *testing.T, s *system) {
				s.koodrive.SetFault(row.fault)
				for _, door := range doors {
					row.want.check(t, door, s.fail(t.Context(), t, door, call{id: taskID, header: []string{"x-user-id", "42"}}))
				}
			})
		})
	}
	t.Run("wrong secret", func(t *testing.T) {
		bubble(t, appMode("wrong"), func(t *testing.T, s *system) {
			s.koodrive.AddApp("app", "s3cr3t")
			for _, door := range doors {
				misconfigured.check(t, door, s.fail(t.Context(), t, door, call{id: taskID, header: []string{"x-user-id", "42"}}))
			}
		})
	})
	t.Run("signed", func(t *testing.T) {
		bubble(t, appMode("s3cr3t"), func(t *testing.T, s *system) {
			s.koodrive.AddApp("app", "s3cr3t")
			r := request(t.Context(), t, "/v1/tasks/"+exampleID, "X-User-Id", "42", "X-Date", "20240831T143829Z")
			if resp, body := s.get(t, r); resp.StatusCode != http.StatusOK {
				t.Errorf("HTTP %d: %s", resp.StatusCode, body)
			}
			if sent := s.koodrive.Requests()[0].Header; !strings.HasPrefix(sent.Get("Authorization"), "HMAC-SHA256 AppId=app,") ||
				sent.Get("X-User-Id") != "42" {
				t.Errorf("sent %v", sent)
			}
		})
	})
}

func TestKooDriveThatCannotBeReached(t *testing.T) {
	for name, row := range map[string]struct {
		err  error
		want outcomeRow
	}{
		"refused":   {errors.New("dial tcp 10.1.2.3: " + network), outcomeRow{nil, codes.Unavailable, "UPSTREAM_UNREACHABLE", 503, true, " "}},
		"untrusted": {&tls.CertificateVerificationError{Err: errors.New(network)}, outcomeRow{nil, codes.Internal, "SERVER_MISCONFIGURED", 500, false, ""}},
		"timeout":   {&net.DNSError{Err: network, IsTimeout: true}, outcomeRow{nil, codes.Unavailable, "UPSTREAM_TIMEOUT", 503, true, " "}},
	} {
		t.Run(name, func(t *testing.T) {
			unreachable := func(c *server.Config) {
				c.Upstream.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, fmt.Errorf("dial: %w", row.err) }
			}
			bubble(t, unreachable, func(t *testing.T, s *system) {
				for _, door := range doors {
					row.want.check(t, door, s.fail(t.Context(), t, door, call{id: taskID, header: bearer}))
				}
			})
		})
	}
}

// KooDrive takes longer than a watch waits for its first answer: unary calls return the error.
func TestKooDriveThatTakesTooLong(t *testing.T) {
	for name, fault := range map[string]*koodrivetest.Fault{"hangs": {Hang: true}, "drips": {Drip: time.Second}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetFault(fault)
				row := outcomeRow{nil, codes.Unavailable, "UPSTREAM_TIMEOUT", 503, true, " "}
				for _, door := range getDoors {
					row.check(t, door, s.fail(t.Context(), t, door, call{id: taskID, header: bearer}))
				}
			})
		})
	}
}

func TestRetryDelays(t *testing.T) {
	for name, row := range map[string]struct {
		fault    *koodrivetest.Fault
		min, max time.Duration
	}{
		"unavailable":           {body(503, ""), time.Second, 3 * time.Second},
		"unavailable for 7 s":   {&koodrivetest.Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}, 7 * time.Second, 9 * time.Second},
		"rate limited":          {koodrivetest.Throttled(""), time.Minute, 75 * time.Second},
		"rate limited for 90 s": {koodrivetest.Throttled("90"), 90 * time.Second, 105 * time.Second},
		"rate limited for ages": {koodrivetest.Throttled("9999999999"), 10 * time.Minute, 10*time.Minute + 15*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetFault(row.fault)
				var all []time.Duration
				for range 100 {
					v := s.fail(t.Context(), t, "rest", call{id: taskID, header: bearer})
					all = append(all, v.retry.GetRetryDelay().AsDuration())
					if v.retry.GetRetryDelay().AsDuration() < 5*time.Second {
						time.Sleep(2 * time.Second) // So that the breaker stays closed.
					}
				}
				if low, high := slices.Min(all), slices.Max(all); low < row.min || high > row.max || high-low < (row.max-row.min)*8/10 {
					t.Errorf("delays from %v to %v, want them to fill %v to %v", low, high, row.min, row.max)
				}
			})
		})
	}
}
