package reason_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// retryable are the reasons after which the contract says "retry", as far as they have a row.
var retryable = []taskv1.ErrorReason{
	taskv1.ErrorReason_WATCH_LIFETIME_REACHED, taskv1.ErrorReason_WATCHER_TOO_SLOW, taskv1.ErrorReason_UPSTREAM_STALE,
	taskv1.ErrorReason_SERVER_OVERLOADED, taskv1.ErrorReason_CALLER_LIMIT_REACHED,
	taskv1.ErrorReason_SERVER_DRAINING, taskv1.ErrorReason_UPSTREAM_RATE_LIMITED, taskv1.ErrorReason_UPSTREAM_TIMEOUT,
	taskv1.ErrorReason_UPSTREAM_UNREACHABLE, taskv1.ErrorReason_UPSTREAM_UNAVAILABLE, taskv1.ErrorReason_UPSTREAM_MALFORMED_BODY,
}

// later are the reasons that nothing returns yet.
var later = []taskv1.ErrorReason{
	taskv1.ErrorReason_ERROR_REASON_UNSPECIFIED,
}

// The worst case of every row keeps the promises of every status, and its details are those of the contract.
func TestEveryReason(t *testing.T) {
	bad := strings.Repeat("\xff\x00ä\n", 1000)
	for n, name := range taskv1.ErrorReason_name {
		r := taskv1.ErrorReason(n)
		if slices.Contains(later, r) {
			continue
		}
		e := &reason.Error{
			Outcome: reason.Outcome{Name: name, Reason: r}, UpstreamStatus: 599, UpstreamCode: bad, Cause: errors.New("geheim"),
			Metadata: map[string]string{"taskId": bad, "resultCode": bad}, RetryAfter: 10 * time.Minute,
		}
		for range 20 {
			e.Violations = append(e.Violations, reason.Violation{Field: "failed_task_as_error", Reason: reason.UnknownParameter, Description: "Its form is that of 2.5s, or true or false."})
		}
		for _, language := range []string{"", reason.English, reason.Chinese} {
			checkStatus(t, e, e.Status(bad, language), language)
		}
	}
}

// checkStatus checks what is true of every status.
func checkStatus(t *testing.T, e *reason.Error, st *status.Status, language string) {
	t.Helper()
	r, name := e.Outcome.Reason, e.Outcome.Name
	if st.Code() == codes.OK || st.Code() == codes.Canceled {
		t.Errorf("%s: code %v", name, st.Code())
	}
	raw, err := proto.Marshal(st.Proto())
	if err != nil || len(raw) > reason.MaxStatus || len(st.Message()) > 512 || !strings.HasSuffix(st.Message(), ".") {
		t.Errorf("%s: %d bytes, message %q, %v", name, len(raw), st.Message(), err)
	}
	if strings.Contains(st.String(), "geheim") {
		t.Errorf("%s: the error reveals the cause: %v", name, st)
	}
	kinds := map[string]int{}
	for _, d := range st.Details() {
		kinds[fmt.Sprintf("%T", d)]++
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			_, upstream := info.GetMetadata()["upstreamStatus"]
			if want := strings.HasPrefix(name, "UPSTREAM_") || r == taskv1.ErrorReason_CREDENTIAL_REJECTED || r == taskv1.ErrorReason_TASK_NOT_FOUND; upstream != want {
				t.Errorf("%s: metadata %v", name, info.GetMetadata())
			}
			for k, v := range info.GetMetadata() {
				if len(v) > 256 {
					t.Errorf("%s: %s has %d bytes", name, k, len(v))
				}
			}
		}
		if local, ok := d.(*errdetails.LocalizedMessage); ok &&
			(local.GetLocale() != language || local.GetMessage() != reason.Catalogue()[language][name]) {
			t.Errorf("%s: %v in %q", name, local, language)
		}
		if bad, ok := d.(*errdetails.BadRequest); ok && len(bad.GetFieldViolations()) > 10 {
			t.Errorf("%s: %d violations", name, len(bad.GetFieldViolations()))
		}
	}
	for kind, n := range kinds {
		if n != 1 {
			t.Errorf("%s: %d × %s", name, n, kind)
		}
	}
	if kinds["*errdetails.ErrorInfo"] != 1 || kinds["*errdetails.RequestInfo"] != 1 {
		t.Errorf("%s: details %v", name, kinds)
	}
	if got := kinds["*errdetails.LocalizedMessage"] == 1; got != (language != "") {
		t.Errorf("%s: LocalizedMessage %v in %q", name, got, language)
	}
	if got := kinds["*errdetails.RetryInfo"] == 1; got != slices.Contains(retryable, r) {
		t.Errorf("%s: RetryInfo %v", name, got)
	}
}

// ends matches a sentence.
var ends = regexp.MustCompile(`[.。]$`)

// Every catalogue has exactly the contract's reasons: each with a sentence of its own, in its language.
func TestCatalogue(t *testing.T) {
	all := reason.Catalogue()
	for _, language := range reason.Languages() {
		t.Run(language, func(t *testing.T) {
			if len(all[language]) != len(taskv1.ErrorReason_name)-len(later) {
				t.Errorf("%d texts", len(all[language]))
			}
			seen := map[string]string{}
			for n, name := range taskv1.ErrorReason_name {
				r, text := taskv1.ErrorReason(n), all[language][name]
				if slices.Contains(later, r) {
					continue
				}
				if !ends.MatchString(text) || seen[text] != "" || strings.ContainsFunc(text, isHan) != (language == reason.Chinese) {
					t.Errorf("%s says %q", name, text)
				}
				seen[text] = name
				st := (&reason.Error{Outcome: reason.Outcome{Name: name, Reason: r}}).Status("id", language)
				if st.Message() != all[reason.English][name] {
					t.Errorf("the status of %s says %q", name, st.Message())
				}
			}
		})
	}
}

func isHan(r rune) bool { return unicode.Is(unicode.Han, r) }

func TestOf(t *testing.T) {
	notFound := &reason.Error{Outcome: reason.TaskNotFound}
	for _, row := range []struct {
		err  error
		want reason.Outcome
	}{
		{notFound, reason.TaskNotFound},
		{fmt.Errorf("asking: %w", notFound), reason.TaskNotFound},
		{fmt.Errorf("asking: %w", context.Canceled), reason.CallerCancelled},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), reason.CallerDeadline},
		{errors.New("anything"), reason.FacadeBug},
	} {
		if got := reason.Of(row.err); got.Outcome != row.want {
			t.Errorf("Of(%v) = %v, want %v", row.err, got.Outcome, row.want)
		}
	}
	if st := reason.Of(context.Canceled).Status("id", reason.Chinese); st.Code() != codes.Canceled || len(st.Details()) != 0 {
		t.Errorf("a caller who has left gets %v", st)
	}
}

func TestComplete(t *testing.T) {
	ours := (&reason.Error{Outcome: reason.TaskNotFound}).Status("id", "")
	if got := reason.Complete(ours, "other", reason.Chinese); got != ours {
		t.Errorf("one of ours became %v", got)
	}
	for code, want := range map[codes.Code]string{
		codes.InvalidArgument: "REQUEST_INVALID", codes.NotFound: "ROUTE_NOT_FOUND", codes.Unimplemented: "METHOD_NOT_ALLOWED",
		codes.DeadlineExceeded: "CALLER_DEADLINE", codes.Unavailable: "SERVER_DRAINING", codes.Unknown: "SERVER_ERROR",
		codes.Internal: "SERVER_ERROR", codes.ResourceExhausted: "SERVER_ERROR",
	} {
		st := reason.Complete(status.New(code, "geheim"), "id", reason.Chinese)
		if got, _ := reason.Read(st); got != want || !strings.Contains(fmt.Sprint(st.Details()), reason.Catalogue()[reason.Chinese][want]) || strings.Contains(st.String(), "geheim") {
			t.Errorf("%v became %v", code, st)
		}
	}
}
