package server_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// everyDoor makes a call that must fail without a request to KooDrive, at the given doors. Violations name fields as the contract
// does; over HTTP their JSON names are expected.
func everyDoor(t *testing.T, s *system, on []string, c call, want codes.Code, reason string, violations ...string) {
	t.Helper()
	for _, door := range on {
		violations := slices.Clone(violations)
		for i, v := range violations {
			if strings.HasSuffix(door, "operation") {
				violations[i] = strings.Replace(v, "task_id", "name", 1)
			}
			if slices.Contains(httpDoors, door) {
				violations[i] = strings.NewReplacer("task_id", "taskId", "max_age", "maxAge", "failed_task_as_error", "failedTaskAsError").Replace(v)
			}
		}
		v := s.fail(t.Context(), t, door, c)
		if v.code != want || v.reason != reason || !slices.Equal(v.violations, violations) || v.retry != nil {
			t.Errorf("%s: %v %s %q, want %v %s %q", door, v.code, v.reason, v.violations, want, reason, violations)
		}
		if n := s.koodrive.Count(); n != 0 {
			t.Errorf("%s: KooDrive got %d requests", door, n)
		}
	}
}

const invalid = codes.InvalidArgument

func TestBadTaskIDs(t *testing.T) {
	for id, row := range map[string]struct{ violation, escaped string }{
		"list":                   {"RESERVED", ""},
		"LIST":                   {"RESERVED", ""},
		"result":                 {"RESERVED", ""},
		"Create":                 {"RESERVED", ""},
		"dstuserinfo":            {"RESERVED", ""},
		strings.Repeat("9", 65):  {"TOO_LONG", ""},
		strings.Repeat("9", 600): {"TOO_LONG", ""},
		"..":                     {"MALFORMED", "%2e%2e"},
		".":                      {"MALFORMED", "%2e"},
		"a b":                    {"MALFORMED", "a%20b"},
		"a/b":                    {"MALFORMED", "a%2Fb"},
		"../users/1":             {"MALFORMED", "..%2fusers%2f1"},
		"//evil.test/x":          {"MALFORMED", "%2f%2fevil.test%2fx"},
		"a?b":                    {"MALFORMED", "a%3Fb"},
		"a#b":                    {"MALFORMED", "a%23b"},
		"a%2Fb":                  {"MALFORMED", "a%252Fb"},
		"a:b":                    {"MALFORMED", "a:b"},
		"a\r\nb":                 {"MALFORMED", "a%0d%0ab"},
		"a\x00b":                 {"MALFORMED", "a%00b"},
		"任务":                     {"MALFORMED", "%E4%BB%BB%E5%8A%A1"},
		"ſ":                      {"MALFORMED", "%C5%BF"},
		"'; drop":                {"MALFORMED", "'%3B%20drop"},
		"<script>":               {"MALFORMED", "%3Cscript%3E"},
	} {
		t.Run(id, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *system) {
				everyDoor(t, s, grpcDoors, call{id: id, header: bearer},
					invalid, "REQUEST_INVALID", "task_id "+row.violation)
				if row.escaped != "" {
					id = row.escaped
				}
				everyDoor(t, s, httpDoors, call{id: id, header: bearer}, invalid, "REQUEST_INVALID", "task_id "+row.violation)
			})
		})
	}
	bubble(t, nil, func(t *testing.T, s *system) {
		everyDoor(t, s, grpcDoors, call{header: bearer}, invalid, "REQUEST_INVALID", "task_id MISSING")
		for _, bytes := range []string{"%ff", "%ff%fe", "%c0%ae", "%ed%a0%80"} { // Not UTF-8, overlong, half a surrogate.
			everyDoor(t, s, httpDoors, call{id: bytes, header: bearer}, invalid, "REQUEST_INVALID", "task_id MALFORMED")
		}
		// An encoded colon does not begin a verb.
		everyDoor(t, s, []string{"rest"}, call{id: taskID + "%3Awatch", header: bearer}, invalid, "REQUEST_INVALID", "task_id MALFORMED")
	})
}

func TestBadCredentials(t *testing.T) {
	with := func(header ...string) call { return call{id: taskID, header: header} }
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, none := range []call{with(), with("authorization", ""), with("x-user-id", "42")} {
			everyDoor(t, s, callerDoors, none, codes.Unauthenticated, "CREDENTIAL_MISSING")
		}
		for _, row := range []struct {
			header    []string
			violation string
		}{
			{[]string{"authorization", "Bearer a", "authorization", "Bearer b"}, "authorization REPEATED"},
			{[]string{"authorization", "Bearer a", "authorization", "Bearer a"}, "authorization REPEATED"},
			{[]string{"authorization", "Bearer a, Bearer b"}, "authorization MALFORMED"},
			{[]string{"authorization", "Bearer"}, "authorization MALFORMED"},
			{[]string{"authorization", "Basic dTpw"}, "authorization MALFORMED"},
			{[]string{"authorization", "Bearer " + strings.Repeat("x", 4096)}, "authorization TOO_LONG"},
			{append([]string{"x-user-id", "1", "x-user-id", "2"}, bearer...), "x-user-id REPEATED"},
			{append([]string{"x-user-id", strings.Repeat("1", 65)}, bearer...), "x-user-id TOO_LONG"},
			{append([]string{"x-user-id", "1 2"}, bearer...), "x-user-id MALFORMED"},
			{append([]string{"x-date", "yesterday"}, bearer...), "x-date MALFORMED"},
			{append([]string{"x-date", "20240831T143829Z", "x-date", "20240831T143829Z"}, bearer...), "x-date REPEATED"},
			{append([]string{"language", "fr-FR"}, bearer...), "language UNSUPPORTED"},
			{[]string{"authorization", "HMAC-SHA256 AppId=a,SignedHeaders=b,Signature=c"}, "x-user-id MISSING"},
			{[]string{"authorization", "HMAC-SHA256 AppId=a,SignedHeaders=b,Signature=c", "x-user-id", "1"}, "x-date MISSING"},
			{[]string{"authorization", "HMAC-SHA256 AppId=a,SignedHeaders=host;language;x-date,Signature=c", "x-user-id", "1", "x-date", "20240831T143829Z"}, "authorization UNSUPPORTED"},
			{[]string{"authorization", "HMAC-SHA256 AppId=a", "x-user-id", "1", "x-date", "20240831T143829Z"}, "authorization MALFORMED"},
		} {
			everyDoor(t, s, callerDoors, with(row.header...), invalid, "REQUEST_INVALID", row.violation)
		}
		// Go's gRPC client does not send these; HTTP clients do, and the gateway would drop them silently.
		for _, bad := range []string{"Bearer \xff", "Bearer a\tb", "Bearer ä"} {
			everyDoor(t, s, httpDoors, with("authorization", bad), invalid, "REQUEST_INVALID", "authorization MALFORMED")
		}
		everyDoor(t, s, callerDoors, with("authorization", "Bearer a", "authorization", "Bearer b", "language", "fr"), invalid, "REQUEST_INVALID",
			"authorization REPEATED", "language UNSUPPORTED")
	})
	bubble(t, appMode("s3cr3t"), func(t *testing.T, s *system) {
		everyDoor(t, s, callerDoors, with(bearer...), invalid, "REQUEST_INVALID", "x-user-id MISSING")
		everyDoor(t, s, callerDoors, with("x-user-id", ""), invalid, "REQUEST_INVALID", "x-user-id MISSING")
		everyDoor(t, s, callerDoors, with("x-user-id", "1", "x-user-id", "2"), invalid, "REQUEST_INVALID", "x-user-id REPEATED")
	})
}

func TestBadDurations(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, row := range []struct {
			age       *durationpb.Duration
			violation string
		}{
			{durationpb.New(-1), "max_age OUT_OF_RANGE"},
			{&durationpb.Duration{Seconds: 1, Nanos: -1}, "max_age MALFORMED"},
			{&durationpb.Duration{Nanos: 1_000_000_000}, "max_age MALFORMED"},
		} {
			set := func(r *taskv1.GetTaskRequest) { r.MaxAge = row.age }
			everyDoor(t, s, []string{"grpc get"}, call{id: taskID, header: bearer, maxAge: set}, invalid, "REQUEST_INVALID", row.violation)
		}
		for _, bad := range []string{"", "1", "-1s", "1m", "1e3s", ".5s", "1.s", "9999999999s", "1.0000000001s", "s", "1s "} {
			query := "?maxAge=" + strings.ReplaceAll(bad, " ", "%20")
			everyDoor(t, s, []string{"rest"}, call{id: taskID, header: bearer, query: query}, invalid, "REQUEST_INVALID", "max_age MALFORMED")
		}
	})
}

func TestBadQueries(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		refused := func(on []string, query string, violations ...string) {
			t.Helper()
			everyDoor(t, s, on, call{id: taskID, header: bearer, query: query}, invalid, "REQUEST_INVALID", violations...)
		}
		for _, secret := range []string{"access_token", "token", "authorization", "taskId", "max_age", "maxage", "%00"} {
			refused(httpDoors, "?"+secret+"="+junk, "query UNKNOWN_PARAMETER")
		}
		refused(httpDoors, "?a=1&b=2", "query UNKNOWN_PARAMETER")
		refused(httpDoors, "?failedTaskAsError=true;x=1", "query MALFORMED")
		refused(httpDoors, "?failedTaskAsError=%zz", "query MALFORMED")
		refused(httpDoors, "?failedTaskAsError=1", "failed_task_as_error MALFORMED")
		refused(httpDoors, "?failedTaskAsError=true&failedTaskAsError=true", "failed_task_as_error REPEATED")
		refused([]string{"rest"}, "?maxAge=1s&maxAge=1s", "max_age REPEATED")
		refused([]string{"rest"}, "?maxAge=1&token=x&failedTaskAsError=TRUE", "failed_task_as_error MALFORMED", "max_age MALFORMED", "query UNKNOWN_PARAMETER")
		refused([]string{ndjson, sse}, "?maxAge=1s", "query UNKNOWN_PARAMETER")
		refused([]string{ndjson, sse}, "?lastEventId=7", "lastEventId MALFORMED")
		refused([]string{ndjson, sse}, "?lastEventId=&lastEventId=", "lastEventId REPEATED")
		refused([]string{"rest"}, "?lastEventId=", "query UNKNOWN_PARAMETER")
		refused([]string{ndjson, sse}, "?lastEventId=end&failedTaskAsError=1", "failed_task_as_error MALFORMED")
	})
}

// An error says what is wrong with a parameter, and which parameters exist. Neither the error nor the log quotes a name
// that may be a secret.
func TestParametersAreExplained(t *testing.T) {
	const known = " Known parameters: failedTaskAsError, maxAge. Send credentials as headers."
	bubble(t, nil, func(t *testing.T, s *system) {
		for query, want := range map[string]string{
			"maxAge=soon":                 "Must be a duration in seconds, like 2.5s.",
			"failedTaskAsError=1":         "Must be true or false.",
			"max_age=1s":                  "Unknown parameter max_age. It is called maxAge here." + known,
			"failed_task_as_error=true":   "Unknown parameter failed_task_as_error. It is called failedTaskAsError here." + known,
			"verbose=1":                   "Unknown parameter verbose." + known,
			"zone=1&access_token=geheim":  "Unknown parameter access_token." + known,
			"MDEyMzQ1Njc4OWFiY2RlZg=1":    "Unknown parameter." + known,
			"eyjhbgcioijiuzinij9abcdefgh": "Unknown parameter." + known, // More than 24 letters.
			"a.b=1":                       "Unknown parameter." + known,
			"maxAge=1s&maxAge=1s":         "Send only one value.",
			"a=%zz":                       "The query must be percent-encoded.",
		} {
			v := s.fail(t.Context(), t, "rest", call{id: taskID, header: bearer, query: "?" + query})
			if !strings.Contains(v.everything, `"description":"`+want+`"`) {
				t.Errorf("%s: %s, want %s", query, v.everything, want)
			}
		}
		v := s.fail(t.Context(), t, sse, call{id: taskID, header: bearer, query: "?maxAge=1s"})
		if want := "Known parameters: failedTaskAsError, lastEventId, ticket."; !strings.Contains(v.everything, want) {
			t.Errorf("%s, want %s", v.everything, want)
		}
		for _, name := range []string{"max_age", "verbose", "access_token", "geheim", "MDEy", "eyjhb"} {
			if strings.Contains(s.log.String(), name) {
				t.Errorf("%s is in the log", name)
			}
		}
	})
}

func TestBadTimeouts(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, bad := range []string{"", "x", "1", "-1S", "123456789S", "1.5S", "1 S", "0S", "00000000H"} {
			c := call{id: taskID, header: append([]string{"Grpc-Timeout", bad}, bearer...)}
			everyDoor(t, s, httpDoors, c, invalid, "REQUEST_INVALID", "grpc-timeout MALFORMED")
		}
		c := call{id: taskID, header: append([]string{"Grpc-Timeout", "1S", "Grpc-Timeout", "2S"}, bearer...)}
		everyDoor(t, s, httpDoors, c, invalid, "REQUEST_INVALID", "grpc-timeout REPEATED")
	})
}

// The caller's own deadline is distinguished from a slow KooDrive.
func TestCallersDeadline(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetFault(&koodrivetest.Fault{Hang: true})
		for _, door := range grpcDoors {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if v := s.fail(ctx, t, door, call{id: taskID, header: bearer}); v.reason != "CALLER_DEADLINE" {
				t.Errorf("%s: %+v", door, v)
			}
			cancel()
		}
		for _, door := range httpDoors {
			start := time.Now()
			v := s.fail(t.Context(), t, door, call{id: taskID, header: append([]string{"Grpc-Timeout", "1S"}, bearer...)})
			if v.code != codes.DeadlineExceeded || v.reason != "CALLER_DEADLINE" || v.http != http.StatusGatewayTimeout {
				t.Errorf("%s: %v %s %d", door, v.code, v.reason, v.http)
			}
			// A little earlier, so that the reason arrives before the caller gives up.
			if took := time.Since(start); took > 980*time.Millisecond || took < 950*time.Millisecond {
				t.Errorf("%s: took %v", door, took)
			}
		}
	})
}

func TestRoutesAndMethods(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		for _, row := range []struct {
			method, path, body string
			status             int
			reason, allow      string
		}{
			{"GET", "/", "", 404, "ROUTE_NOT_FOUND", ""},
			{"GET", "/v1/tasks", "", 404, "ROUTE_NOT_FOUND", ""},
			{"GET", "/v1/tasks/a/b", "", 404, "ROUTE_NOT_FOUND", ""},
			{"GET", "/v1/tasks/../tasks/1", "", 404, "ROUTE_NOT_FOUND", ""},
			{"GET", "//v1/tasks/1", "", 404, "ROUTE_NOT_FOUND", ""},
			{"GET", "/koodrive.task.v1.TaskService/GetTask", "", 404, "ROUTE_NOT_FOUND", ""},
			{"GET", "/debug/pprof/", "", 404, "ROUTE_NOT_FOUND", ""},
			{"GET", "/metrics", "", 404, "ROUTE_NOT_FOUND", ""},
			{"POST", "/v1/tasks/1", "", 405, "METHOD_NOT_ALLOWED", "GET"},
			{"POST", "/v1/tasks/1:watch", "a=b", 405, "METHOD_NOT_ALLOWED", "GET"},
			{"DELETE", "/v1/tasks/1", "", 405, "METHOD_NOT_ALLOWED", "GET"},
			{"OPTIONS", "/v1/tasks/1:watch", "", 405, "METHOD_NOT_ALLOWED", "GET"},
			{"POST", "/openapi.json", "", 405, "METHOD_NOT_ALLOWED", "GET, HEAD"},
			{"GET", "/v1/tasks/1:ticket", "", 405, "METHOD_NOT_ALLOWED", "POST"},
			{"GET", "/v1/tasks/1", "{}", 400, "REQUEST_INVALID", ""},
			{"GET", "/v1/tasks/1:watch", "{}", 400, "REQUEST_INVALID", ""},
		} {
			r := request(t.Context(), t, row.path, "Content-Type", "application/x-www-form-urlencoded", "X-HTTP-Method-Override", "GET")
			r.Method = row.method
			if row.body != "" {
				r.Body = io.NopCloser(strings.NewReader(row.body)) // Of unknown length.
			}
			resp, body := s.get(t, r)
			if resp.StatusCode != row.status || !strings.Contains(body, row.reason) || resp.Header.Get("Allow") != row.allow {
				t.Errorf("%s %s: %d, Allow %q, %s; want %d, %q, %s", row.method, row.path, resp.StatusCode, resp.Header.Get("Allow"),
					body, row.status, row.allow, row.reason)
			}
		}
		for path, allow := range map[string]string{"/v1/tasks/1": "GET", "/v1/tasks/1:watch": "GET", "/v1/tasks/1:ticket": "POST"} {
			r := request(t.Context(), t, path)
			r.Method = http.MethodHead
			if resp, body := s.get(t, r); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != allow || body != "" {
				t.Errorf("HEAD %s: %d %q %s", path, resp.StatusCode, resp.Header, body)
			}
		}
		if n := s.koodrive.Count(); n != 0 {
			t.Errorf("KooDrive got %d requests", n)
		}
	})
}

// A second name for the credential, which grpc-gateway once accepted, is ignored.
func TestSmuggledCredentialIsNotRead(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		everyDoor(t, s, httpDoors, call{id: exampleID, header: []string{"Grpc-Metadata-Authorization", "Bearer " + token}},
			codes.Unauthenticated, "CREDENTIAL_MISSING")
		for range 100 {
			s.get(t, request(t.Context(), t, "/v1/tasks/"+exampleID+"?maxAge=0s", "Grpc-Metadata-Authorization", "Bearer smuggled",
				"Grpc-Metadata-X-User-Id", "7"))
		}
		for _, r := range s.koodrive.Requests() {
			if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-User-Id") != "" {
				t.Fatalf("KooDrive got %v", r.Header)
			}
		}
	})
}
