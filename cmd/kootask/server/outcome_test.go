package server_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// canary is in every text of KooDrive, which nobody may see. It needs no escaping in JSON.
const canary = "canary-10.1.2.3-geheim <&>'+/"

type outcomeRow struct {
	fault    *koodrivetest.Fault
	code     codes.Code
	reason   string
	http     int
	retry    bool
	upstream string // upstreamStatus and upstreamCode; empty: not there.
}

func body(status int, body string) *koodrivetest.Fault {
	f := koodrivetest.Answer(status, body)
	f.Header = http.Header{"Location": {"http://" + canary}, "X-Debug": {canary}}
	return f
}

// code is KooDrive's envelope, apig the envelope of its API gateway.
func code(status int, code string) *koodrivetest.Fault {
	return body(status, `{"code":`+code+`,"msg":"`+canary+`"}`)
}

func apig(status int, code string) *koodrivetest.Fault {
	return body(status, `{"error_msg":"`+canary+`","error_code":"`+code+`","request_id":"`+canary+`"}`)
}

// answer is a 200 with these fields, beside those that a task must have.
func answer(fields string) *koodrivetest.Fault {
	return body(http.StatusOK, `{"taskName":"`+koodrivetest.Example().Name+`",`+fields+`}`)
}

const id = `"taskId":"` + taskID + `"`

// oddNames is an object whose field names are canaries.
var oddNames = fmt.Sprintf(`{%q:1,%q:2,%q:3,%q:4,%q:5,"newField":[%q]}`,
	canary, token, "Bearer "+token[:16], atToken, koodrivetest.Example().UserID, canary)

var outcomeRows = map[string]outcomeRow{
	"401":                       {body(401, canary), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 "},
	"401 with not found":        {code(401, "13000309"), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 13000309"},
	"401 APIGW.0301":            {apig(401, "APIGW.0301"), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 APIGW.0301"},
	"400 APIG.0307":             {apig(400, "APIG.0307"), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "400 APIG.0307"},
	"400 without a code":        {body(400, canary), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "400 "},
	"403":                       {body(403, canary), codes.PermissionDenied, "UPSTREAM_PERMISSION_DENIED", 403, false, "403 "},
	"403 with not found":        {code(403, "13000309"), codes.PermissionDenied, "UPSTREAM_PERMISSION_DENIED", 403, false, "403 13000309"},
	"400 no permission":         {code(400, "13000410"), codes.PermissionDenied, "UPSTREAM_PERMISSION_DENIED", 403, false, "400 13000410"},
	"200 APIG.0302":             {apig(200, "APIG.0302"), codes.PermissionDenied, "UPSTREAM_PERMISSION_DENIED", 403, false, "200 APIG.0302"},
	"400 not found":             {code(400, "13000309"), codes.NotFound, "TASK_NOT_FOUND", 404, false, "400 13000309"},
	"404 not found":             {code(404, `"13000309"`), codes.NotFound, "TASK_NOT_FOUND", 404, false, "404 13000309"},
	"500 not found":             {code(500, "13000309"), codes.NotFound, "TASK_NOT_FOUND", 404, false, "500 13000309"},
	"400 bad parameter":         {code(400, "13000102"), codes.InvalidArgument, "REQUEST_INVALID", 400, false, ""},
	"200 bad request":           {code(200, `"13000101"`), codes.InvalidArgument, "REQUEST_INVALID", 400, false, ""},
	"200 inner failure":         {code(200, "13000201"), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "200 13000201"},
	"400 other code":            {code(400, "13000301"), codes.Unknown, "UPSTREAM_BUSINESS_ERROR", 500, false, "400 13000301"},
	"200 other code":            {code(200, "18000205"), codes.Unknown, "UPSTREAM_BUSINESS_ERROR", 500, false, "200 18000205"},
	"404 other code":            {code(404, "13000401"), codes.Unknown, "UPSTREAM_BUSINESS_ERROR", 500, false, "404 13000401"},
	"400 negative code":         {code(400, "-1"), codes.Unknown, "UPSTREAM_BUSINESS_ERROR", 500, false, "400 "},
	"201 not found":             {code(201, "13000309"), codes.NotFound, "TASK_NOT_FOUND", 404, false, "201 13000309"},
	"206 APIG.0308":             {apig(206, "APIG.0308"), codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", 429, true, "206 APIG.0308"},
	"201 other code":            {code(201, "13000301"), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "201 13000301"},
	"401 cut off":               {&koodrivetest.Fault{Status: 401, Truncate: true, Body: new(`{"code":13000309}`)}, codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 "},
	"404":                       {body(404, canary), codes.Internal, "SERVER_MISCONFIGURED", 500, false, ""},
	"404 APIGW.0101":            {apig(404, "APIGW.0101"), codes.Internal, "SERVER_MISCONFIGURED", 500, false, ""},
	"500 APIG.0103":             {apig(500, "APIG.0103"), codes.Internal, "SERVER_MISCONFIGURED", 500, false, ""},
	"405":                       {body(405, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "405 "},
	"413 APIGW.0201":            {apig(413, "APIGW.0201"), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "413 APIGW.0201"},
	"418":                       {body(418, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "418 "},
	"501":                       {body(501, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "501 "},
	"408":                       {body(408, canary), codes.Unavailable, "UPSTREAM_TIMEOUT", 503, true, "408 "},
	"425":                       {body(425, canary), codes.Unavailable, "UPSTREAM_TIMEOUT", 503, true, "425 "},
	"429":                       {body(429, canary), codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", 429, true, "429 "},
	"200 APIG.0308":             {apig(200, "APIG.0308"), codes.ResourceExhausted, "UPSTREAM_RATE_LIMITED", 429, true, "200 APIG.0308"},
	"301":                       {body(301, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "301 "},
	"307":                       {body(307, canary), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "307 "},
	"500":                       {body(500, canary), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "500 "},
	"502 APIGW.0201":            {apig(502, "APIGW.0201"), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "502 APIGW.0201"},
	"503":                       {body(503, canary), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "503 "},
	"504":                       {body(504, canary), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "504 "},
	"599":                       {body(599, canary), codes.Unavailable, "UPSTREAM_UNAVAILABLE", 503, true, "599 "},
	"204":                       {body(204, ""), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "204 "},
	"206":                       {body(206, `{`+id+`,"status":1,"code":0}`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "206 "},
	"200 empty object":          {body(200, `{}`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 null":                  {body(200, `null`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 status null":           {answer(id + `,"status":null,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 status beyond int32":   {answer(id + `,"status":2147483648,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 without a code":        {answer(id + `,"status":1`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 without an id":         {answer(`"status":1,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 status twice":          {answer(id + `,"status":1,"status":2,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 another task":          {answer(`"taskId":"` + exampleID + `","status":1,"code":0`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 too large":             {&koodrivetest.Fault{Pad: upstream.MaxBody + 1}, codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 a bomb":                {&koodrivetest.Fault{Pad: 2 << 20, Gzip: true}, codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 a large header":        {&koodrivetest.Fault{Header: http.Header{"X": {strings.Repeat("x", 40<<10)}}}, codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, " "},
	"200 names":                 {body(200, oddNames), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 names, cut off":        {body(200, oddNames[:len(oddNames)-1]), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"400 names":                 {body(400, oddNames), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "400 "},
	"200 an array":              {body(200, `["`+canary+`"]`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 a string":              {body(200, `"`+canary+`"`), codes.Internal, "UPSTREAM_CONTRACT_VIOLATION", 500, false, "200 "},
	"200 no JSON":               {body(200, "<html>"+canary), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 empty":                 {body(200, ""), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 trailing bytes":        {body(200, `{`+id+`,"status":1,"code":0}`+canary), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 not UTF-8":             {answer(id + `,"status":1,"code":0,"userId":"` + "\xff" + `"`), codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 cut off":               {&koodrivetest.Fault{Truncate: true}, codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"200 gzip in name":          {&koodrivetest.Fault{Header: http.Header{"Content-Encoding": {"gzip"}}}, codes.Unavailable, "UPSTREAM_MALFORMED_BODY", 503, true, "200 "},
	"connection reset":          {&koodrivetest.Fault{Reset: true}, codes.Unavailable, "UPSTREAM_UNREACHABLE", 503, true, " "},
	"a code that is like prose": {apig(401, "Bad token "+canary), codes.Unauthenticated, "CREDENTIAL_REJECTED", 401, false, "401 "},
}

// check compares a verdict with its row.
func (row outcomeRow) check(t *testing.T, door string, v verdict) {
	t.Helper()
	if v.code != row.code || v.reason != row.reason || v.http != 0 && v.http != row.http {
		t.Errorf("%s: %v %s %d, want %v %s %d", door, v.code, v.reason, v.http, row.code, row.reason, row.http)
	}
	if (v.retry != nil) != row.retry {
		t.Errorf("%s: RetryInfo %v", door, v.retry)
	}
	var want map[string]string
	if row.upstream != "" {
		status, code, _ := strings.Cut(row.upstream, " ")
		want = map[string]string{"upstreamStatus": status, "upstreamCode": code}
	}
	if !maps.Equal(v.metadata, want) {
		t.Errorf("%s: metadata %v, want %v", door, v.metadata, want)
	}
	for _, leak := range []string{canary, network, "koodrive.test", "dial", "http://", "/koodrive/", token} {
		if strings.Contains(v.everything, leak) {
			t.Errorf("%s: the caller sees %q in %s", door, leak, v.everything)
		}
	}
	if v.http == http.StatusUnauthorized && v.header.Get("WWW-Authenticate") != `Bearer realm="KooDrive"` {
		t.Errorf("%s: WWW-Authenticate %q", door, v.header.Get("WWW-Authenticate"))
	}
}

func TestWhatKooDriveSaysMeansTheSameAtEveryDoor(t *testing.T) {
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
					time.Sleep(2 * time.Minute) // After a rate limit, requests are held for a minute.
					row.check(t, door, s.fail(t.Context(), t, door, call{id: taskID, header: bearer}))
					want := 1
					if row.retry && row.reason != "UPSTREAM_RATE_LIMITED" && (door == "grpc get" || door == "rest") {
						want = 2 // A transient failure is tried again.
					}
					if n := s.koodrive.Count() - asked; n != want {
						t.Errorf("%s: KooDrive was asked %d times", door, n)
					}
					asked = s.koodrive.Count()
				}
			})
		})
	}
}

// bearer is the header of a good credential.
var bearer = []string{"authorization", "Bearer " + token}

// In app mode the credential is ours: whatever is wrong with it is not the caller's fault.
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

func appMode(key string) func(*server.Config) {
	return func(c *server.Config) {
		c.Service.App = &upstream.App{ID: "app", Secrets: upstream.FixedSecrets(secret.New(key))}
	}
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

// KooDrive takes longer than a watch waits for its first answer, so only unary calls return the outcome.
func TestKooDriveThatTakesTooLong(t *testing.T) {
	for name, fault := range map[string]*koodrivetest.Fault{"hangs": {Hang: true}, "drips": {Drip: time.Second}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				s.koodrive.SetFault(fault)
				row := outcomeRow{nil, codes.Unavailable, "UPSTREAM_TIMEOUT", 503, true, " "}
				for _, door := range []string{"grpc get", "rest"} {
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
