package doctor_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kootask/kootask/cmd/kootask/doctor"
	"github.com/kootask/kootask/upstream"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A refusal for another reason than the credential ends the search: other forms of the credential would only be failed sign-ins.
func TestAcceptedCredential(t *testing.T) {
	const header = "headers: {X-Hw-Agentname: example}"
	hidden := koodrivetest.Answer(http.StatusBadRequest, `{"code":13000410,"msg":"no permission"}`)
	for name, row := range map[string]struct {
		overlay string
		fault   *koodrivetest.Fault
		skew    time.Duration
		config  func(*testing.T, upstream.Config) doctor.Config
		asked   int
		forms   int // Of Authorization, without the signatures, which differ by their date.
		says    string
	}{
		"a header, token":               {header, nil, 0, withToken, 2, 1, "A header may be missing"},
		"a header, app":                 {header, nil, 0, withApp, 1, 1, "A header may be missing"},
		"another user's task, token":    {"", hidden, 0, withToken, 2, 1, "the credential may not see the task"},
		"another user's task, app":      {"", hidden, 0, withApp, 1, 1, "the credential may not see the task"},
		"no user":                       {"token: {user_id: required}", nil, 0, withoutUser, 2, 1, "set --user-id"},
		"a prefix and a header":         {`{token: {prefix: "Bearer+"}, ` + header + "}", nil, 0, withToken, 2, 2, "A header may be missing"},
		"a signature and a header":      {"{signature: {host: with_port}, " + header + "}", nil, 0, withApp, 2, 2, "A header may be missing"},
		"the clock and a header, app":   {header, nil, -10 * time.Minute, withApp, 2, 2, "A header may be missing"},
		"the clock and a header, token": {"{token: {date: true}, " + header + "}", nil, -10 * time.Minute, withDate, 2, 1, "A header may be missing"},
	} {
		t.Run(name, func(t *testing.T) {
			k := simulated(t, row.overlay)
			k.SetSkew(row.skew)
			k.SetFault(row.fault)
			bubble(t, k, row.config, func(r *doctor.Report, text string) {
				if r.Result != doctor.Differing || r.Accepted() || !strings.Contains(r.Stopped, row.says) {
					t.Errorf("%s, %s:\n%s", r.Result, r.Stopped, text)
				}
				polite(t, k)
				forms := map[string]bool{}
				for _, sent := range k.Requests() {
					forms[sent.Header.Get("Authorization")] = true
				}
				if k.Count() != row.asked || len(forms) != row.forms {
					t.Errorf("%d requests with %d credentials:\n%s", k.Count(), len(forms), text)
				}
			})
		})
	}
}

// withoutUser is withToken without a user.
func withoutUser(t *testing.T, at upstream.Config) doctor.Config {
	t.Helper()
	c := withToken(t, at)
	c.UserID = ""
	return c
}

// withDate is withToken, with a dialect that dates tokens.
func withDate(t *testing.T, at upstream.Config) doctor.Config {
	t.Helper()
	c := withToken(t, at)
	c.Dialect = parse(t, "token: {date: true}")
	return c
}
