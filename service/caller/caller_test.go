package caller_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

func TestReadIsTheSameForHeadersAndMetadata(t *testing.T) {
	r := caller.NewReader(caller.Forward, "")
	pairs := []string{
		"authorization", "Bearer xyz", "x-user-id", "42", "x-date", "20240831T143829Z", "language", "ZH_cn", "x-request-id", "mine",
		"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	header := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		header.Add(pairs[i], pairs[i+1])
	}
	a, errA := r.Read(header.Values)
	b, errB := r.Read(metadata.Pairs(pairs...).Get)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	for _, c := range []caller.Caller{a, b} {
		if c.Authorization().Reveal() != "Bearer xyz" || c.UserID != "42" || c.Date != "20240831T143829Z" || c.Language != "zh-CN" ||
			c.RequestID != "mine" || hex.EncodeToString(c.Trace[:]) != "4bf92f3577b34da6a3ce929d0e0e4736" || c.Fingerprint != a.Fingerprint {
			t.Errorf("%+v", c)
		}
	}
	if fingerprint := a.Fingerprint; len(fingerprint) != 16 || strings.Contains(fingerprint, "xyz") {
		t.Errorf("fingerprint %q", fingerprint)
	}
	if other, _ := caller.NewReader(caller.Forward, "").Read(header.Values); other.Fingerprint == a.Fingerprint {
		t.Error("a fingerprint can be compared across processes")
	}
}

func TestEveryFaultIsNamed(t *testing.T) {
	_, err := caller.NewReader(caller.Forward, "").Read(metadata.Pairs(
		"authorization", "a", "authorization", "b", "x-user-id", "\xff", "x-date", strings.Repeat("1", 17), "language", "fr").Get)
	var failure *reason.Error
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	var got []string
	for _, v := range failure.Violations {
		got = append(got, v.Field+" "+string(v.Reason))
	}
	want := "authorization REPEATED, x-user-id MALFORMED, x-date TOO_LONG, language UNSUPPORTED"
	if strings.Join(got, ", ") != want || failure.Outcome != reason.CredentialAmbiguous {
		t.Errorf("%v %q, want %q", failure.Outcome, got, want)
	}
}

// The token for kootask may be longer than a credential for KooDrive, in whichever header it is.
func TestLengths(t *testing.T) {
	for name, row := range map[string]struct {
		mode                caller.Mode
		tokenHeader, header string
		longest             int
	}{
		"KooDrive's credential":             {caller.Forward, "", caller.HeaderAuthorization, caller.MaxAuthorization},
		"KooDrive's credential, of a known": {caller.Forward, caller.HeaderCallerToken, caller.HeaderAuthorization, caller.MaxAuthorization},
		"the token":                         {caller.Forward, caller.HeaderCallerToken, caller.HeaderCallerToken, caller.MaxToken},
		"the token in app mode":             {caller.App, caller.HeaderCallerToken, caller.HeaderCallerToken, caller.MaxToken},
		"the token as authorization":        {caller.App, caller.HeaderAuthorization, caller.HeaderAuthorization, caller.MaxToken},
	} {
		t.Run(name, func(t *testing.T) {
			for _, length := range []int{row.longest, row.longest + 1} {
				md := metadata.Pairs("authorization", "Bearer x", "x-user-id", "42")
				md.Set(row.header, strings.Repeat("x", length))
				_, err := caller.NewReader(row.mode, row.tokenHeader).Read(md.Get)
				if want := length > row.longest; (err != nil) != want || err != nil && reason.Of(err).Violations[0].Reason != reason.TooLong {
					t.Errorf("%s of %d bytes: %v", name, length, err)
				}
			}
		})
	}
}

func TestCallerDoesNotPrintItsCredential(t *testing.T) {
	c, err := caller.NewReader(caller.Forward, "").Read(metadata.Pairs("authorization", "Bearer geheim").Get)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", &c), string(encoded)} {
		if strings.Contains(s, "geheim") {
			t.Errorf("printed as %s", s)
		}
	}
}

// An invalid task id may be a credential in the wrong place.
func TestInvalidTaskIDsAreNotLogged(t *testing.T) {
	for id, logged := range map[string]bool{"1534087020903704704": true, "Bearer geheim": false, strings.Repeat("9", 65): false} {
		if line := fmt.Sprint((&caller.Caller{}).AppendAttrs(nil, id)); strings.Contains(line, id) != logged {
			t.Errorf("logged as %s", line)
		}
	}
}

// A call for several tasks is logged with their number and with each valid id once.
func TestTasksAreLogged(t *testing.T) {
	for _, row := range []struct {
		ids   []string
		tasks int
		valid []string
	}{
		{nil, 0, []string{}},
		{[]string{"b", "a", "b", "list"}, 3, []string{"b", "a", "list"}},
		{[]string{"Bearer geheim", "", "a", "Bearer geheim", "a\n"}, 4, []string{"a"}},
	} {
		got := caller.AppendTasks([]slog.Attr{slog.Bool("first", true)}, row.ids)
		if len(got) != 3 || !got[1].Equal(slog.Int("tasks", row.tasks)) || got[2].Key != "task_ids" || !slices.Equal(got[2].Value.Any().([]string), row.valid) {
			t.Errorf("%q is logged as %v", row.ids, got)
		}
	}
}

func TestAppModeReadsNoCredential(t *testing.T) {
	c, err := caller.NewReader(caller.App, "").Read(metadata.Pairs("authorization", "Bearer geheim", "x-user-id", "42").Get)
	if err != nil || c.Authorization().Reveal() != "" || c.UserID != "42" {
		t.Errorf("%+v, %v", c, err)
	}
}
