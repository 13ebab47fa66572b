package server_test

import (
	"cmp"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kootask/kootask/cmd/kootask/dialects"
	"github.com/kootask/kootask/cmd/kootask/doctor"
	"github.com/kootask/kootask/cmd/kootask/server"
	"github.com/kootask/kootask/dialect"
	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// spoken are overlays with one key each, and how a KooDrive that speaks so looks to a kootask that does not know it.
var spoken = []struct {
	key, overlay string
	app          bool
	task         koodrivetest.Task // A task that shows the difference; without an id: any.
	header       []string          // Of the caller, beside its credential.
	without      string            // The reason without the overlay.
	with         string            // The reason with it; empty: the task.
	field        string            // A part of the task that is there only with it. Empty: none.
}{
	{key: "token.prefix", overlay: `token: {prefix: "Bearer+"}`, without: "CREDENTIAL_REJECTED"},
	{key: "token.prefix alone", overlay: `token: {prefix: ""}`, without: "CREDENTIAL_REJECTED"},
	{key: "token.date", overlay: "token: {date: true}", without: "REQUEST_INVALID"},
	{key: "token.user_id", overlay: "token: {user_id: required}", header: []string{"x-user-id", "1001"}},
	{key: "token.user_id missing", overlay: "token: {user_id: required}", without: "REQUEST_INVALID", with: "REQUEST_INVALID"},
	{key: "headers", overlay: "headers: {X-Hw-Agentname: example}", without: "REQUEST_INVALID"},
	{key: "signature.signed_headers", overlay: "signature: {signed_headers: x-date;x-user-id}", app: true, without: "SERVER_MISCONFIGURED"},
	{key: "signature.host", overlay: "signature: {host: with_port}", app: true, without: "SERVER_MISCONFIGURED"},
	{key: "signature.time_line", overlay: "signature: {time_line: true}", app: true, without: "SERVER_MISCONFIGURED"},
	{key: "signature.empty_payload", overlay: "signature: {empty_payload: empty}", app: true, without: "SERVER_MISCONFIGURED"},
	{key: "signature.path_slash", overlay: "signature: {path_slash: false}", app: true, without: "SERVER_MISCONFIGURED"},
	{key: "codes", overlay: `codes: [{code: "13000499", reason: TASK_NOT_FOUND}]`, task: koodrivetest.Task{ID: "unknown"}, without: "UPSTREAM_BUSINESS_ERROR", with: "TASK_NOT_FOUND"},
	{key: "codes by status", overlay: "codes: [{status: 410, reason: TASK_NOT_FOUND}]", task: koodrivetest.Task{ID: "unknown"}, without: "UPSTREAM_CONTRACT_VIOLATION", with: "TASK_NOT_FOUND"},
	{key: "codes by both", overlay: `codes: [{status: 401, code: "7", reason: TASK_NOT_FOUND}]`, task: koodrivetest.Task{ID: "unknown"}, without: "CREDENTIAL_REJECTED", with: "TASK_NOT_FOUND"},
	{key: "statuses", overlay: "statuses: {4: FAILED}", task: failedTask, field: `"status":"TASK_STATUS_FAILED"`},
	{key: "task_types", overlay: "task_types: {2: BATCH_IMPORT}", task: importTask, field: `"taskType":"TASK_TYPE_BATCH_IMPORT"`},
}

var (
	failedTask = koodrivetest.Task{ID: "failed", Steps: []koodrivetest.Step{{Status: koodrivetest.StatusFailed}}}
	importTask = koodrivetest.Task{ID: "import", Type: new(int64(1)), Steps: []koodrivetest.Step{{Status: koodrivetest.StatusSuccess}}}
)

// unasked are the keys that no question of doctor can find, as it writes them in a comment, and their meaning.
var unasked = map[string][2]string{
	"headers": {"X-Example: example", "X-Hw-Agentname: example"}, "statuses": {"…", "FAILED"}, "task_types": {"…", "BATCH_IMPORT"},
}

// examined returns the overlay that doctor writes for a KooDrive that speaks as a row says. Of a key that no question can find,
// it is the commented-out line, with its meaning.
func examined(t *testing.T, overlay string, app bool, key string, task koodrivetest.Task) (written string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		koodrive, listener := koodrivetest.New(), koodrivetest.Listen()
		koodrive.AddToken(token, 0)
		koodrive.AddApp("app", "s3cr3t")
		koodrive.SetDialect(simulated(t, overlay))
		if task.Steps != nil {
			koodrive.SetTask(task)
		}
		koodriveServer := &http.Server{Handler: koodrive}
		go func() { _ = koodriveServer.Serve(listener) }()
		defer koodriveServer.Close()
		documented := spokenBy(t, "")
		config := doctor.Config{
			Upstream: upstream.Config{BaseURL: "http://koodrive.test", AllowHTTP: true, Dial: listener.Dial},
			Dialect:  documented, TaskID: koodrivetest.Example().ID, UserID: "1001", Token: secret.New(token),
		}
		if task.Steps != nil {
			config.TaskID = task.ID
		}
		if app {
			config.App = &upstream.App{ID: "app", Secrets: upstream.FixedSecrets(secret.New("s3cr3t"))}
		}
		report, err := doctor.Run(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		written = string(report.Overlay(documented))
	})
	if meaning, ok := unasked[key]; ok {
		_, line, _ := strings.Cut(written, "# "+key+":")
		line, _, _ = strings.Cut(line, "\n")
		written = key + ":" + strings.Replace(line, meaning[0], meaning[1], 1)
	}
	return written
}

// spokenBy returns the dialect of an overlay.
func spokenBy(t *testing.T, overlay string) dialect.Dialect {
	t.Helper()
	d, err := dialects.Parse([]byte(overlay))
	if err != nil {
		t.Fatalf("%v, in\n%s", err, overlay)
	}
	return d
}

// simulated returns an overlay for KooDrive's stand-in.
func simulated(t *testing.T, overlay string) koodrivetest.Dialect {
	t.Helper()
	d, err := dialects.Simulated(spokenBy(t, overlay))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// speaking runs a test with a KooDrive that speaks as an overlay says, and a kootask with another overlay, or with none.
func speaking(t *testing.T, overlay, known string, app bool, test func(t *testing.T, s *system)) {
	t.Helper()
	bubble(t, func(c *server.Config) {
		d := spokenBy(t, known)
		c.Dialect = &d
		if app {
			appMode("s3cr3t")(c)
		}
	}, func(t *testing.T, s *system) {
		s.koodrive.SetDialect(simulated(t, overlay))
		s.koodrive.AddApp("app", "s3cr3t")
		test(t, s)
	})
}

// answers returns the answers at each kind of door to a request that must succeed, as JSON.
func (s *system) answers(t *testing.T, c call) map[string]string {
	t.Helper()
	answers := map[string]string{}
	resp, err := s.tasks.GetTask(metadata.NewOutgoingContext(t.Context(), metadata.Pairs(c.header...)), &taskv1.GetTaskRequest{TaskId: c.id})
	if err != nil {
		t.Fatal(err)
	}
	compact, err := protojson.Marshal(resp.GetTask())
	if err != nil {
		t.Fatal(err)
	}
	answers["grpc"] = strings.ReplaceAll(string(compact), " ", "")
	for _, door := range httpDoors {
		r := request(t.Context(), t, pathAt(door, c.id, ""), c.header...)
		r.Header.Del("Authorization")
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
		}
		if accept := accepted(door); accept != "" {
			r.Header.Set("Accept", accept)
		}
		resp, body := s.get(t, r)
		if resp.StatusCode != http.StatusOK || strings.Contains(body, `"failure"`) {
			t.Errorf("%s: %d %s", door, resp.StatusCode, body)
		}
		answers[door] = body
	}
	return answers
}

// A KooDrive that speaks otherwise is understood with the overlay that doctor writes for it, and only then.
func TestEachKeyOfTheDialect(t *testing.T) {
	for _, row := range spoken {
		t.Run(row.key, func(t *testing.T) {
			c := call{id: cmp.Or(row.task.ID, koodrivetest.Example().ID), header: slices.Concat(bearer, row.header)}
			if row.app {
				c.header = []string{"x-user-id", "1001"}
			}
			for _, known := range []bool{false, true} {
				reason, overlay := row.without, ""
				if known {
					reason, overlay = row.with, examined(t, row.overlay, row.app, row.key, row.task)
				}
				speaking(t, row.overlay, overlay, row.app, func(t *testing.T, s *system) {
					if row.task.Steps != nil {
						s.koodrive.SetTask(row.task)
					}
					if reason != "" {
						for _, door := range doors {
							if v := s.fail(t.Context(), t, door, c); v.reason != reason {
								t.Errorf("with the overlay %t, %s: %s, want %s", known, door, v.reason, reason)
							}
						}
						return
					}
					if row.field != "" && !known && row.key == "statuses" { // The watch would not end.
						resp, err := s.tasks.GetTask(metadata.NewOutgoingContext(t.Context(), metadata.Pairs(c.header...)), &taskv1.GetTaskRequest{TaskId: c.id})
						if err != nil || resp.GetTask().GetStatus() != taskv1.TaskStatus_TASK_STATUS_UNSPECIFIED || resp.GetTask().GetKoodriveStatus() != 4 {
							t.Errorf("without the overlay: %v, %v", resp, err)
						}
						return
					}
					for door, answer := range s.answers(t, c) {
						if strings.Contains(answer, row.field) != known && row.field != "" {
							t.Errorf("with the overlay %t, %s: %s", known, door, answer)
						}
					}
				})
			}
		})
	}
}

// A date that a caller sends with a token divides no poll any more, and does not reach KooDrive. Two signatures are two callers.
func TestDatesOfTokensShareAPoll(t *testing.T) {
	bubble(t, nil, func(t *testing.T, s *system) {
		s.koodrive.SetTask(koodrivetest.Task{ID: taskID, Steps: []koodrivetest.Step{{Status: koodrivetest.StatusExecuting, Fault: &koodrivetest.Fault{Latency: time.Second}}}})
		ask := func(header ...string) {
			go func() {
				_, _ = s.tasks.GetTask(metadata.NewOutgoingContext(t.Context(), metadata.Pairs(header...)), &taskv1.GetTaskRequest{TaskId: taskID})
			}()
		}
		ask("authorization", "Bearer "+token, "x-date", "20240831T143829Z")
		ask("authorization", "Bearer "+token, "x-date", "20240831T143830Z")
		ask("authorization", token)
		synctest.Wait()
		if n := s.koodrive.Count(); n != 1 {
			t.Errorf("%d requests for one token with two dates", n)
		}
		for _, r := range s.koodrive.Requests() {
			if date := r.Header.Get("X-Date"); date != "" {
				t.Errorf("KooDrive got X-Date %q", date)
			}
		}
		ask("authorization", signed, "x-user-id", "1", "x-date", "20240831T143829Z")
		ask("authorization", signed, "x-user-id", "1", "x-date", "20240831T143830Z")
		synctest.Wait()
		if n := s.koodrive.Count(); n != 3 {
			t.Errorf("%d requests with those of two signatures", n-1)
		}
		time.Sleep(2 * time.Second)
	})
}

// The texts of result codes are those of the error, in the language of the call, and of the page.
func TestResultTexts(t *testing.T) {
	const overlay = `result_codes: {"18000205": {en-US: The receiver is full., zh-CN: 接收人空间不足。}}`
	for _, known := range []bool{false, true} {
		speaking(t, overlay, map[bool]string{true: overlay}[known], false, func(t *testing.T, s *system) {
			for language, text := range map[string]string{"en-US": "The receiver is full.", "zh-CN": "接收人空间不足。", "": ""} {
				_, err := s.tasks.GetTask(metadata.NewOutgoingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+token, "language", language)),
					&taskv1.GetTaskRequest{TaskId: koodrivetest.Example().ID, FailedTaskAsError: true})
				localized := ""
				for _, d := range status.Convert(err).Details() {
					if m, ok := d.(*errdetails.LocalizedMessage); ok {
						localized = m.GetMessage()
					}
				}
				if (localized == text) != (known || text == "") {
					t.Errorf("with the overlay %t, in %q: %q", known, language, localized)
				}
				for _, door := range httpDoors {
					r := request(t.Context(), t, pathAt(door, koodrivetest.Example().ID, "failedTaskAsError=true"), "language", language)
					if accept := accepted(door); accept != "" {
						r.Header.Set("Accept", accept)
					}
					if _, body := s.get(t, r); text != "" && strings.Contains(body, text) != known {
						t.Errorf("with the overlay %t, in %q, %s: %s", known, language, door, body)
					}
				}
			}
		})
	}
}

// A token without the user's id that the dialect requires costs no request.
func TestUserIDsThatTheDialectRequires(t *testing.T) {
	speaking(t, "token: {user_id: required}", "token: {user_id: required}", false, func(t *testing.T, s *system) {
		everyDoor(t, s, callerDoors, call{id: taskID, header: bearer}, codes.InvalidArgument, "REQUEST_INVALID", "x-user-id MISSING")
	})
}

// The page has the texts of result codes from its server.
func TestPageHasResultTexts(t *testing.T) {
	d := spokenBy(t, `result_codes: {"18000205": {en-US: The receiver is full., zh-CN: 接收人空间不足。}}`)
	bubble(t, func(c *server.Config) { c.Console, c.Dialect = true, &d }, func(t *testing.T, s *system) {
		resp, err := s.http.Do(request(t.Context(), t, "/console/reasons.js")) // The description leaves out the page's files.
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || !strings.Contains(string(body), "The receiver is full.") || !strings.Contains(string(body), "接收人空间不足。") {
			t.Errorf("%v, %s", err, body)
		}
	})
}

// In app mode, a row cannot reveal which tasks exist, nor make callers discard their credential.
func TestDialectOfAnApp(t *testing.T) {
	for _, row := range []struct {
		reason, want string
		metadata     map[string]string
	}{
		{"UPSTREAM_PERMISSION_DENIED", "TASK_NOT_FOUND", map[string]string{"upstreamStatus": "", "upstreamCode": ""}},
		{"TASK_NOT_FOUND", "TASK_NOT_FOUND", map[string]string{"upstreamStatus": "", "upstreamCode": ""}},
		{"CREDENTIAL_REJECTED", "SERVER_MISCONFIGURED", nil},
		{"UPSTREAM_BUSINESS_ERROR", "UPSTREAM_BUSINESS_ERROR", map[string]string{"upstreamStatus": "409", "upstreamCode": "7"}},
	} {
		d := spokenBy(t, `codes: [{code: "7", reason: `+row.reason+`}, {code: "13000410", reason: UPSTREAM_BUSINESS_ERROR}]`)
		bubble(t, func(c *server.Config) {
			c.Dialect = &d
			appMode("s3cr3t")(c)
		}, func(t *testing.T, s *system) {
			s.koodrive.SetFault(koodrivetest.Answer(http.StatusConflict, `{"code":7}`))
			for _, door := range doors {
				v := s.fail(t.Context(), t, door, call{id: taskID, header: []string{"x-user-id", "1001"}})
				if v.reason != row.want || !maps.Equal(v.metadata, row.metadata) {
					t.Errorf("%s, %s: %s %v", row.reason, door, v.reason, v.metadata)
				}
			}
			// The code of another user's task looks like that of a missing one, whatever a row says of it.
			s.koodrive.SetFault(koodrivetest.Answer(http.StatusBadRequest, `{"code":13000410}`))
			if v := s.fail(t.Context(), t, "rest", call{id: taskID, header: []string{"x-user-id", "1001"}}); v.reason != "TASK_NOT_FOUND" {
				t.Errorf("another user's task: %s", v.reason)
			}
			// An app that may not use the API at all is not a missing task.
			s.koodrive.SetFault(koodrivetest.Answer(http.StatusBadRequest, `{"error_code":"APIGW.0302"}`))
			if v := s.fail(t.Context(), t, "rest", call{id: taskID, header: []string{"x-user-id", "1001"}}); v.reason != "UPSTREAM_PERMISSION_DENIED" {
				t.Errorf("an app without the API: %s", v.reason)
			}
		})
	}
}
