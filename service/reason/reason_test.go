package reason_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
	"github.com/kootask/kootask/service/reason"
)

// contract has the reasons' comments in the contract, by their names. Each ends with the code, the HTTP status and, if a
// call may be repeated, "retry".
func contract(t *testing.T) map[string]string {
	t.Helper()
	source, err := os.ReadFile("../../proto/koodrive/task/v1/error_reason.proto")
	if err != nil {
		t.Fatal(err)
	}
	comments, comment := map[string]string{}, ""
	for line := range strings.Lines(string(source)) {
		line = strings.TrimSpace(line)
		if more, ok := strings.CutPrefix(line, "//"); ok {
			comment += more
			continue
		}
		if m := regexp.MustCompile(`^(\w+) = \d+;`).FindStringSubmatch(line); m != nil {
			comments[m[1]] = comment
		}
		comment = ""
	}
	return comments
}

// later are the reasons that nothing returns yet.
var later = []taskv1.ErrorReason{
	taskv1.ErrorReason_ERROR_REASON_UNSPECIFIED,
}

// httpStatus is the HTTP status of a reason.
func httpStatus(r taskv1.ErrorReason, c codes.Code) int {
	if r == taskv1.ErrorReason_METHOD_NOT_ALLOWED {
		return http.StatusMethodNotAllowed
	}
	return runtime.HTTPStatusFromCode(c)
}

// The worst case of every row keeps to what every status promises, and its details are those of the contract.
func TestEveryReason(t *testing.T) {
	comments := contract(t)
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
		st := e.Status("", "")
		if info, _ := reason.Read(st); info != name {
			t.Errorf("%s: add its row to rows in service/reason/table.go", name)
			continue
		}
		_, retry := reason.Read(st)
		end := code.Code(st.Code()).String() + ", " + strconv.Itoa(httpStatus(r, st.Code()))
		if retry != nil {
			end += ", retry"
		}
		if !strings.HasSuffix(comments[name], " "+end+".") {
			t.Errorf("%s: the comment in error_reason.proto does not end with %q, as the row in service/reason/table.go says: correct one of them", name, end)
		}
		for range 20 {
			e.Violations = append(e.Violations, reason.Violation{Field: "failed_task_as_error", Reason: reason.UnknownParameter, Description: "Its form is that of 2.5s, or true or false."})
		}
		for _, language := range append(reason.Languages(), "") {
			checkStatus(t, e, e.Status(bad, language), language)
		}
	}
}

// checkStatus checks the rules that hold for every status.
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
				t.Errorf("%s: has upstreamStatus: %v: set upstream in its row of service/reason/table.go as the comment of ErrorReason in the proto says", name, upstream)
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
}

// ends matches a sentence.
var ends = regexp.MustCompile(`[.。]$`)

// Every catalogue has exactly the contract's reasons: each with a sentence of its own, in its language.
func TestCatalogue(t *testing.T) {
	all := reason.Catalogue()
	for _, language := range reason.Languages() {
		t.Run(language, func(t *testing.T) {
			if len(all[language]) != len(taskv1.ErrorReason_name)-len(later) {
				t.Errorf("%d texts: see rows in service/reason/table.go", len(all[language]))
			}
			seen := map[string]string{}
			for n, name := range taskv1.ErrorReason_name {
				r, text := taskv1.ErrorReason(n), all[language][name]
				if slices.Contains(later, r) {
					continue
				}
				if text == "" {
					t.Errorf("add the text of %s to its service/reason/catalogue_*.go", name)
				} else if !ends.MatchString(text) || seen[text] != "" || strings.ContainsFunc(text, isHan) != (language == reason.Chinese) {
					t.Errorf("%s says %q: write a sentence of its own, in its language, in its service/reason/catalogue_*.go or table.go", name, text)
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
