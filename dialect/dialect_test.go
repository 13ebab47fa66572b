package dialect

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var reasons = []string{
	"CREDENTIAL_REJECTED", "REQUEST_INVALID", "SERVER_MISCONFIGURED", "TASK_NOT_FOUND", "UPSTREAM_BUSINESS_ERROR", "UPSTREAM_PERMISSION_DENIED",
	"UPSTREAM_RATE_LIMITED", "UPSTREAM_TIMEOUT", "UPSTREAM_UNAVAILABLE",
}

func parse(t *testing.T, overlay string) Dialect {
	t.Helper()
	d, err := Parse([]byte(overlay), reasons)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The default is the documents' reading, and an overlay changes only what it names.
func TestOverlays(t *testing.T) {
	plain := parse(t, "")
	if plain.Token != (Token{Prefix: "Bearer "}) || plain.Signature != (Signature{}) || plain.Headers != nil || len(plain.Codes) != 13 {
		t.Errorf("default %+v", plain)
	}
	for _, empty := range []string{"# nothing\n", "{}", "---\n{}\n", "codes: []\nheaders: {}\n", "token: {}"} {
		if d := parse(t, empty); d.Digest() != plain.Digest() {
			t.Errorf("%q changes the default", empty)
		}
	}
	with := func(change func(d *Dialect)) Dialect {
		d := parse(t, "")
		change(&d)
		return d
	}
	replace := func(code string, status int, to string) func(d *Dialect) {
		return func(d *Dialect) {
			for i, c := range d.Codes {
				if c.Code == code && c.Status == status {
					d.Codes[i] = Code{status, code, to, true}
				}
			}
		}
	}
	for overlay, want := range map[string]Dialect{
		`token: {prefix: "Bearer+"}`:                               with(func(d *Dialect) { d.Token.Prefix = "Bearer+" }),
		`token: {prefix: ""}`:                                      with(func(d *Dialect) { d.Token.Prefix = "" }),
		"token:\n  date: true":                                     with(func(d *Dialect) { d.Token.Date = true }),
		"token: {user_id: required}":                               with(func(d *Dialect) { d.Token.UserIDRequired = true }),
		"headers: {x-hw-agentname: acme}":                          with(func(d *Dialect) { d.Headers = []Header{{"X-Hw-Agentname", "acme"}} }),
		"signature: {signed_headers: x-date;x-user-id}":            with(func(d *Dialect) { d.Signature.WithoutHost = true }),
		"signature: {host: with_port}":                             with(func(d *Dialect) { d.Signature.HostWithPort = true }),
		"signature: {time_line: true}":                             with(func(d *Dialect) { d.Signature.TimeLine = true }),
		"signature: {empty_payload: empty}":                        with(func(d *Dialect) { d.Signature.EmptyPayload = true }),
		"signature: {path_slash: false}":                           with(func(d *Dialect) { d.Signature.PathAsItIs = true }),
		`codes: [{code: "13000410", reason: TASK_NOT_FOUND}]`:      with(replace("13000410", 0, "TASK_NOT_FOUND")),
		`codes: [{code: APIG.0301, reason: SERVER_MISCONFIGURED}]`: with(replace(".0301", 0, "SERVER_MISCONFIGURED")),
		`codes: [{status: 409, reason: UPSTREAM_UNAVAILABLE}]`: with(func(d *Dialect) {
			d.Codes = append([]Code{{409, "", "UPSTREAM_UNAVAILABLE", true}}, d.Codes...)
		}),
		"statuses: {4: FAILED, -1: NEW}": with(func(d *Dialect) { d.Statuses = map[int32]string{4: "FAILED", -1: "NEW"} }),
		"task_types: {2: BATCH_IMPORT}":  with(func(d *Dialect) { d.TaskTypes = map[int32]string{2: "BATCH_IMPORT"} }),
		`result_codes: {"18000205": {en-US: Full., zh-CN: 已满。}}`: with(func(d *Dialect) {
			d.ResultCodes = map[string]Text{"18000205": {"Full.", "已满。"}}
		}),
	} {
		got := parse(t, overlay)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", overlay, diff)
		}
		if same := got.Digest() == plain.Digest(); same != (got.ResultCodes["18000205"] != Text{}) {
			t.Errorf("%s: the digest of the default: %t", overlay, same)
		}
	}
}

// Every problem is a line of the error, with its place. What is written there may be a secret in the wrong place.
func TestBrokenOverlays(t *testing.T) {
	text, err := os.ReadFile("testdata/broken.json")
	if err != nil {
		t.Fatal(err)
	}
	var broken map[string]string // The lines of the error, by the overlay.
	if err := json.Unmarshal(text, &broken); err != nil || len(broken) < 20 {
		t.Fatal(len(broken), err)
	}
	for overlay, want := range broken {
		_, err := Parse([]byte(overlay), reasons)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", overlay, err, want)
		}
	}
	if _, err := Parse([]byte("token:\n  prefix: \"\xff\""), reasons); err == nil || err.Error() != "2: it has a control character, or is not UTF-8" {
		t.Errorf("invalid UTF-8: %v", err)
	}
	if _, err := Parse([]byte("#"+strings.Repeat("x", MaxSize)), reasons); err == nil {
		t.Error("a large overlay is accepted")
	}
}
