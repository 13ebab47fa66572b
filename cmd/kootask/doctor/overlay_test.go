package doctor_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/kootask/kootask/cmd/kootask/doctor"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// The overlay that is written for a KooDrive that speaks otherwise is that KooDrive's dialect. kootask works with it, and a
// second examination finds nothing.
func TestOverlay(t *testing.T) {
	for _, row := range []struct {
		overlay string
		config  func(*testing.T, upstream.Config) doctor.Config
	}{
		{`token: {prefix: "Bearer+"}`, withToken},
		{`token: {prefix: ""}`, withToken},
		{`token: {date: true}`, withToken},
		{`token: {user_id: required}`, withToken},
		{`signature: {signed_headers: x-date;x-user-id}`, withApp},
		{`signature: {host: with_port}`, withApp},
		{`signature: {time_line: true}`, withApp},
		{`signature: {empty_payload: empty}`, withApp},
		{`signature: {path_slash: false}`, withApp},
		{`codes: [{code: "13000499", reason: TASK_NOT_FOUND}]`, withToken},
		{`codes: [{code: "13000499", reason: TASK_NOT_FOUND}]`, withApp},
		{`codes: [{status: 410, reason: TASK_NOT_FOUND}]`, withToken},
		{`codes: [{code: APIGW.7777, status: 400, reason: CREDENTIAL_REJECTED}]`, withFake},
		{`{token: {prefix: ""}, codes: [{code: "13000499", reason: TASK_NOT_FOUND}]}`, withToken},
		{`signature: {path_slash: false}`, withAppAndFake},
		{"", withToken},
		{"", withApp},
	} {
		t.Run(row.overlay, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := simulated(t, row.overlay)
				config := row.config(t, serve(t, k))
				r, text := examine(t, config)
				polite(t, k)
				written := string(r.Overlay(config.Dialect))
				want, got := parse(t, row.overlay), parse(t, written)
				if diff := cmp.Diff(withoutStatus(want), withoutStatus(got)); diff != "" {
					t.Errorf("%s\n%s\n%s", diff, written, text)
				}
				if changed := row.overlay != ""; changed != (r.Result == doctor.Differing) {
					t.Errorf("%s:\n%s", r.Result, text)
				}
				if err := works(t.Context(), config, got); err != nil {
					t.Errorf("kootask does not work with it: %v\n%s", err, written)
				}
				k.ForgetRequests()
				config.Dialect = got
				if r, text := examine(t, config); r.Result != doctor.AsExpected {
					t.Errorf("with it, the result is %s:\n%s\n%s", r.Result, text, written)
				}
			})
		})
	}
}

// A refusal that may have several causes gets no row, but a comment. So does one that no accepted question follows.
func TestAmbiguousRefusals(t *testing.T) {
	for name, row := range map[string]struct {
		overlay string
		fault   *koodrivetest.Fault
		says    string
	}{
		"the code of a wrong header": {`codes: [{code: "13000102", reason: TASK_NOT_FOUND}]`, nil, "Questions 2 and 3 got 400 with code 13000102, and cannot be told apart"},
		"the code of a wrong token":  {`codes: [{code: "13000499", reason: TASK_NOT_FOUND}, {code: "13000499", status: 400, reason: CREDENTIAL_REJECTED}]`, nil, "Questions 2, 3 and 5 got 400 with code 13000499, and cannot be told apart"},
		"a refused sign-in, 400":     {"codes: [{status: 400, reason: TASK_NOT_FOUND}]", nil, "Questions 2 and 3 got 400 without a code. KooDrive refuses credentials in this way"},
		"a refused sign-in, 401":     {"codes: [{status: 401, reason: TASK_NOT_FOUND}]", nil, "Questions 2 and 3 got 401 without a code. KooDrive refuses credentials in this way"},
		"nothing after it":           {"", koodrivetest.Answer(403, `{"code":13000999}`), "no question was accepted before and after"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := simulated(t, row.overlay)
				config := withFake(t, serve(t, breakAfter(k, 1, row.fault)))
				r, text := examine(t, config)
				written := string(r.Overlay(config.Dialect))
				plain := strings.Join(strings.Fields(strings.ReplaceAll(written, "#", "")), " ")
				if !strings.Contains(plain, row.says) || strings.Contains(written, "\ncodes:") {
					t.Errorf("%s\n%s", written, text)
				}
			})
		})
	}
}

// What no question can find is written as a comment, and the overlay in force is kept.
func TestOverlayKeepsTheDialectInForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const inForce = `
token: {prefix: ""}
headers: {X-Hw-Agentname: "a:b#c"}
codes:
  - {status: 409, code: "13000499", reason: UPSTREAM_BUSINESS_ERROR}
  - {status: 429, reason: UPSTREAM_UNAVAILABLE}
statuses: {4: FAILED, -1: NEW}
task_types: {2: BATCH_IMPORT}
result_codes: {"18000205": {en-US: "It's \"full\".", zh-CN: 空间已满。}}
`
		k := simulated(t, inForce)
		config := withToken(t, serve(t, k))
		config.Dialect = parse(t, inForce)
		r, _ := examine(t, config)
		if diff := cmp.Diff(config.Dialect, parse(t, string(r.Overlay(parse(t, ""))))); diff != "" {
			t.Errorf("%s\n%s", diff, r.Overlay(parse(t, "")))
		}
		config.Dialect = parse(t, "")
		task := koodrivetest.Example()
		task.Steps = []koodrivetest.Step{{Status: 7, ResultCode: "18000299"}}
		other := simulated(t, "")
		other.SetTask(task)
		config.Upstream = serve(t, other)
		r, _ = examine(t, config)
		for _, line := range []string{"# statuses: {7: …}", "# task_types: {}", "# result_codes: {\"18000299\": ", "# headers: {"} {
			if written := string(r.Overlay(config.Dialect)); !strings.Contains(written, "\n"+line) {
				t.Errorf("no %s in\n%s", line, written)
			}
		}
	})
}

// A row that is found wins over those of the dialect in force, and a meaning of that dialect's rows can change.
func TestOverlayReplacesRowsInForce(t *testing.T) {
	for name, row := range map[string]struct{ spoken, inForce, want string }{
		"a row with both": {
			`codes: [{code: "13000499", reason: TASK_NOT_FOUND}]`,
			`codes: [{status: 400, code: "13000499", reason: UPSTREAM_BUSINESS_ERROR}]`,
			`codes: [{code: "13000499", reason: TASK_NOT_FOUND}]`,
		},
		"a documented code": {
			"", `codes: [{status: 400, code: "13000309", reason: UPSTREAM_BUSINESS_ERROR}]`,
			`codes: [{code: "13000309", reason: TASK_NOT_FOUND}]`,
		},
		"a documented code alone": {
			"", `codes: [{code: "13000309", reason: UPSTREAM_BUSINESS_ERROR}]`,
			`codes: [{code: "13000309", reason: TASK_NOT_FOUND}]`,
		},
		"a row with a status": {
			`codes: [{status: 410, code: "13000499", reason: TASK_NOT_FOUND}]`,
			`codes: [{status: 410, reason: UPSTREAM_BUSINESS_ERROR}]`,
			`codes: [{status: 410, reason: UPSTREAM_BUSINESS_ERROR}, {code: "13000499", reason: TASK_NOT_FOUND}]`,
		},
		"rows about other answers": {
			`codes: [{code: "13000499", reason: TASK_NOT_FOUND}]`,
			`codes: [{status: 409, code: "13000499", reason: UPSTREAM_BUSINESS_ERROR}]`,
			`codes: [{status: 409, code: "13000499", reason: UPSTREAM_BUSINESS_ERROR}, {code: "13000499", reason: TASK_NOT_FOUND}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := simulated(t, row.spoken)
				config := withToken(t, serve(t, k))
				config.Dialect = parse(t, row.inForce)
				r, text := examine(t, config)
				written := string(r.Overlay(parse(t, "")))
				config.Dialect = parse(t, written)
				if diff := cmp.Diff(parse(t, row.want), config.Dialect); r.Result != doctor.Differing || diff != "" {
					t.Errorf("%s, %s\n%s\n%s", r.Result, diff, written, text)
				}
				k.ForgetRequests()
				if r, text := examine(t, config); r.Result != doctor.AsExpected {
					t.Errorf("with it, the result is %s:\n%s\n%s", r.Result, text, written)
				}
			})
		})
	}
}

// What was seen of the task is written beside the rows of the dialect in force, unless one of them maps it.
func TestOverlayAddsWhatWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const inForce = `
statuses: {4: FAILED}
task_types: {2: BATCH_IMPORT}
result_codes: {"18000205": {en-US: Full., zh-CN: 已满。}}
`
		task := koodrivetest.Example()
		task.Type, task.Steps = new(int64(9)), []koodrivetest.Step{{Status: 7, ResultCode: "18000299"}}
		k := simulated(t, "")
		k.SetTask(task)
		config := withToken(t, serve(t, k))
		config.Dialect = parse(t, inForce)
		r, _ := examine(t, config)
		written := string(r.Overlay(parse(t, "")))
		if diff := cmp.Diff(config.Dialect, parse(t, written)); diff != "" {
			t.Errorf("%s\n%s", diff, written)
		}
		lines := []string{"  # 7: …", "  # 9: …", `  # "18000299": {en-US: …, zh-CN: …}`}
		for _, line := range lines {
			if !strings.Contains(written, "\n"+line+"\n") {
				t.Errorf("no %s in\n%s", line, written)
			}
		}
		config.Dialect = parse(t, strings.NewReplacer("4:", "7:", "2:", "9:", "18000205", "18000299").Replace(inForce))
		r, _ = examine(t, config)
		for _, line := range lines {
			if written := string(r.Overlay(parse(t, ""))); strings.Contains(written, line) {
				t.Errorf("%s in\n%s", line, written)
			}
		}
	})
}
