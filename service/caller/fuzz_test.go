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

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

const goodTraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// Headers and metadata get the same verdict. An accepted value occurred once, is printable ASCII and not too long. A
// refused one is named but not quoted. Invalid tracing headers are replaced and fail no call.
func FuzzRead(f *testing.F) {
	add := func(authorization, userID, date, language, requestID, traceParent string) {
		for _, twice := range []uint8{0, 1, 2, 4, 8, 16, 32, 63} {
			f.Add(authorization, userID, date, language, requestID, traceParent, uint8(63), twice, twice == 2)
		}
	}
	good := []string{"Bearer xyz", "42", "20240831T143829Z", "ZH_cn", "mine", goodTraceParent}
	add(good[0], good[1], good[2], good[3], good[4], good[5])
	for _, bad := range []string{
		"", " ", "a b", " a", "a ", "a\tb", "a\n", "\r\nx: y", "\x00", "\x7f", "\x1b[2J", "ä", "\xff\xfe", "\u2028", "a,b", "en-US", "EN_us", "zh-CN", "enſus",
		"20240831T143829Z0", strings.Repeat("x", 64), strings.Repeat("x", 65),
		strings.Repeat("x", caller.MaxAuthorization), strings.Repeat("x", caller.MaxAuthorization+1), strings.Repeat("x", caller.MaxToken+1), "..", "_", "a/b", "١",
		strings.Repeat("0", 55), strings.ToUpper(goodTraceParent), goodTraceParent + "-", goodTraceParent + "-\xff", goodTraceParent + "-\x1b[2J",
		goodTraceParent + "\n", goodTraceParent + "-a\n", goodTraceParent + strings.Repeat("-x", 101),
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
	} {
		for i := range good {
			v := slices.Clone(good)
			v[i] = bad
			f.Add(v[0], v[1], v[2], v[3], v[4], v[5], uint8(63), uint8(0), i == 1)
		}
	}
	f.Add("Bearer xyz", "42", "", "", "", "", uint8(0), uint8(0), true)
	f.Add("Bearer xyz", "42", "", "", "", "", uint8(1), uint8(0), false)
	readers := map[bool]*caller.Reader{false: caller.NewReader(caller.Forward, ""), true: caller.NewReader(caller.App, "")}
	tokens := caller.NewReader(caller.App, caller.HeaderAuthorization)

	f.Fuzz(func(t *testing.T, authorization, userID, date, language, requestID, traceParent string, there, twice uint8, app bool) {
		names := []string{
			caller.HeaderAuthorization, caller.HeaderUserID, caller.HeaderDate, caller.HeaderLanguage, caller.HeaderRequestID, caller.HeaderTraceParent,
		}
		header, md := http.Header{}, metadata.MD{}
		for i, value := range []string{authorization, userID, date, language, requestID, traceParent} {
			for _, bits := range []uint8{there, there & twice} {
				if bits>>i&1 == 1 {
					header.Add(names[i], value)
					md.Append(names[i], value)
				}
			}
		}
		c, err := readers[app].Read(header.Values)
		other, otherErr := readers[app].Read(md.Get)
		if fmt.Sprint(err) != fmt.Sprint(otherErr) || c.UserID != other.UserID || c.Date != other.Date || c.Language != other.Language ||
			c.Authorization().Reveal() != other.Authorization().Reveal() || c.Fingerprint != other.Fingerprint {
			t.Errorf("header: %+v, %v; metadata: %+v, %v", c, err, other, otherErr)
		}

		// Where the header carries the token for kootask, a longer value is accepted, and it is still taken literally.
		if known, err := tokens.Read(header.Values); err == nil {
			if token := known.Token().Reveal(); token != header.Get(names[0]) || len(token) > caller.MaxToken || !isVisible(token) {
				t.Errorf("the token is %q of %q", token, header.Values(names[0]))
			}
		}

		// The request id and the trace.
		switch id, sent := c.RequestID, header.Values(names[4]); {
		case len(sent) == 1 && isRequestID(sent[0]):
			if id != sent[0] || other.RequestID != sent[0] {
				t.Errorf("request id %q is replaced by %q and %q", sent[0], id, other.RequestID)
			}
		case len(id) != 32 || !inside(id, "0123456789abcdef") || id == other.RequestID:
			t.Errorf("request id %q becomes %q and %q", sent, id, other.RequestID)
		}
		switch sent := header.Values(names[5]); {
		case len(sent) == 1 && len(sent[0]) >= 35 && hex.EncodeToString(c.Trace[:]) == sent[0][3:35]:
			if len(sent[0]) > 300 || !isVisible(sent[0]) {
				t.Errorf("traceparent %q is used", sent)
			}
		case len(sent) == 1 && sent[0] == goodTraceParent:
			t.Error("a good traceparent is replaced")
		case c.Trace == [16]byte{} || c.Trace == other.Trace:
			t.Errorf("trace %x, and then %x", c.Trace, other.Trace)
		}

		if err != nil {
			checkFailure(t, err)
			return
		}
		for i, limit := range []int{caller.MaxAuthorization, caller.MaxUserID, 16, 16} {
			if all := header.Values(names[i]); len(all) > 1 || len(all) == 1 && (len(all[0]) > limit || !isVisible(all[0]) || i > 0 && strings.Contains(all[0], " ")) {
				t.Errorf("%s: %q is accepted", names[i], all)
			}
		}
		switch {
		case c.UserID != header.Get(names[1]) || c.Date != header.Get(names[2]) || !slices.Contains(append(reason.Languages(), ""), c.Language):
			t.Errorf("%+v is read from %v", c, header)
		case app && (c.Authorization().Reveal() != "" || c.UserID == ""):
			t.Errorf("the app's caller is %+v, with credential %q", c, c.Authorization().Reveal())
		case !app && (c.Authorization().Reveal() == "" || c.Authorization().Reveal() != header.Get(names[0])):
			t.Errorf("the credential is %q, and not %q", c.Authorization().Reveal(), header.Get(names[0]))
		}
	})
}

// checkFailure checks that a failure consists of fixed words.
func checkFailure(t *testing.T, err error) {
	t.Helper()
	var failure *reason.Error
	if !errors.As(err, &failure) || failure.Cause != nil || failure.Metadata != nil {
		t.Fatalf("failure %+v", err)
	}
	for _, v := range failure.Violations {
		if !slices.Contains([]string{"authorization", "x-user-id", "x-date", "language"}, v.Field) ||
			!slices.Contains([]string{
				"Send only one value.", "Must have at most 4096 characters.", "Must have at most 64 characters.",
				"Must have at most 16 characters.", "Must contain only visible ASCII characters.", "Must be " + strings.Join(reason.Languages(), " or ") + ".",
				"Name the KooDrive user to act for.",
			}, v.Description) ||
			!slices.Contains([]reason.ViolationReason{reason.Missing, reason.Malformed, reason.Repeated, reason.TooLong, reason.Unsupported}, v.Reason) {
			t.Errorf("violation %+v", v)
		}
	}
}

func isRequestID(s string) bool {
	return s != "" && len(s) <= 64 && inside(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
}

func inside(s, characters string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(characters, r) || r == '\uFFFD' })
}

func isVisible(s string) bool {
	for _, b := range []byte(s) {
		if b < 0x20 || b > 0x7e {
			return false
		}
	}
	return s == strings.Trim(s, " ")
}

// No way to print or log a Caller shows its credential, accepted or not.
func FuzzCredentialIsNotShown(f *testing.F) {
	for _, s := range []string{"Bearer ", "", "AT ", "HMAC-SHA256 AppId=a,SignedHeaders=host,Signature=", "\x00", "\xff", "a\n", "{", `"`, "%s%v", strings.Repeat("x", caller.MaxAuthorization)} {
		f.Add(s, "", "42", "en-US", false)
		f.Add("Bearer ", s, s, s, true)
	}
	// The credential is in none of the values that may be shown, nor in the form of a task id.
	const canary = "geheim~7f3a9c51d2"
	shown := []string{canary, hex.EncodeToString([]byte(canary)), strings.ToUpper(hex.EncodeToString([]byte(canary)))}
	f.Fuzz(func(t *testing.T, before, after, userID, language string, app bool) {
		if strings.Contains(userID, canary) || strings.Contains(language, canary) {
			return // They are not credentials, and may be shown.
		}
		mode := caller.Forward
		if app {
			mode = caller.App
		}
		authorization := before + canary + after
		c, err := caller.NewReader(mode, "").Read(metadata.MD{
			caller.HeaderAuthorization: {authorization}, caller.HeaderUserID: {userID}, caller.HeaderLanguage: {language},
		}.Get)
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(&out, verb+"\n", c)
			fmt.Fprintf(&out, verb+"\n", &c)
			fmt.Fprintf(&out, verb+"\n", err)
		}
		if encoded, err := json.Marshal(c); err == nil {
			out.Write(encoded)
		}
		for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
			for _, taskID := range []string{"1534087020903704704", authorization, canary, ""} {
				slog.New(handler).LogAttrs(t.Context(), slog.LevelInfo, "", c.AppendAttrs(nil, taskID)...)
			}
			slog.New(handler).LogAttrs(t.Context(), slog.LevelInfo, "", caller.AppendTasks(nil, []string{authorization, canary, ""})...)
			slog.New(handler).Info("", "caller", c, "error", err)
		}
		for _, s := range shown {
			if strings.Contains(out.String(), s) {
				t.Fatalf("%q is shown in\n%s", s, out.String())
			}
		}
		if err == nil && !app {
			if diff := cmp.Diff(authorization, c.Authorization().Reveal()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		}
	})
}
