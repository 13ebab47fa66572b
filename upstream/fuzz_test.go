package upstream

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"net/http"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/kootask/kootask/internal/secret"
)

// canned is a transport that gives the same answer every time.
type canned struct {
	status int
	header http.Header
	body   []byte
}

func (c *canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: c.header, Body: io.NopCloser(bytes.NewReader(c.body))}, nil
}

// maxAllocated is how much reading a body of that many bytes may allocate. The worst case is thousands of nested objects: the
// decoder keeps their names, twice if a name has to be repaired. Allocations of the rest of the process count too.
func maxAllocated(body int) uint64 { return uint64(1<<20 + 256*body) }

// An answer is accepted if and only if a second reading, with another decoder and other rules, finds the same task. Any other
// answer gives a typed error that quotes at most a well-formed code.
func FuzzAnswer(f *testing.F) {
	good := `{"taskId":"` + id + `","status":1,"code":0}`
	for _, body := range []string{
		good, good + "x", good + good, good[:20], good + " \n", "", "null", "[]", `"x"`, "{}", `{"code":"13000102"}`, "\uFEFF" + good,
		`{"taskId":` + id + `,"status":"1","taskType":"0","code":"0"}`,
		`{"taskId":"1","status":null}`, `{"taskId":"` + id + `","status":null,"code":0}`, `{"taskId":"` + id + `","Status":1,"code":0}`,
		`{"taskId":1.534087020903704704e18,"status":1,"code":0}`, `{"taskId":"1534087020903704705","status":1,"code":0}`,
		`{"taskId":1534087020903704705,"status":1,"code":0}`,
		`{"taskId":"` + id + `","status":1,"status":2,"code":0}`, `{"taskId":"` + id + `","status":1,"code":0,"st\u0061tus":1}`,
		`{"taskId":"` + id + `","status":1,"code":0,"x":{"a":1,"a":1}}`,
		`{"taskId":"` + id + `","status":2147483648,"code":0}`, `{"taskId":"` + id + `","status":-2147483648,"code":0}`,
		`{"taskId":"` + id + `","status":-0,"code":0}`, `{"taskId":"` + id + `","status":1e400,"code":0}`, `{"taskId":"` + id + `","status":NaN,"code":0}`,
		`{"taskId":"` + id + `","status":1,"code":"00"}`, `{"taskId":"` + id + `","status":1,"code":0.0}`, `{"taskId":"` + id + `","status":1,"code":1e0}`,
		`{"taskId":"` + id + `","status":1,"code":"OK"}`, `{"taskId":"` + id + `","status":1,"code":"\u0030"}`, `{"code":12345678901234567890}`, `{"code":-1}`,
		"{\"taskId\":\"" + id + "\",\"taskName\":\"a\xffb\",\"status\":1,\"code\":0}", `{"taskName":"a\ud800b","taskId":"` + id + `","status":1,"code":0}`,
		"{\"taskId\":\"" + id + "\",\"userId\":\"a\xffb\",\"status\":1,\"code\":0}", `{"tenantId":"a\ud800b","taskId":"` + id + `","status":1,"code":0}`,
		"{\"taskName\":\"\xff\",\"userId\":\"\xff\",\"status\":1,\"code\":0}", "{\"taskId\":\"" + id + "\",\"status\":1,\"code\":0,\"\xff\":1}",
		`{"taskName":"a\n\nevent: end\u2028","taskId":"` + id + `","resultCode":18000205,"tenantId":"t","userId":null,"status":3,"code":0}`,
		`{"error_msg":"m","error_code":"APIG.0308","request_id":"r"}`, `{"taskId":"` + id + `","status":1,"code":0,"error_code":"APIGW.0301"}`,
		`{"error_code":"Bad token <b>"}`, `{"error_code":"-APIG.0308"}`, `{"a b":1,"` + strings.Repeat("x", 33) + `":"","\n":[]}`,
		`{` + strings.Repeat(`"`+strings.Repeat("x", 32)+`":false,`, 20) + `"x":1}`, `<html>log in</html>`,
		`{"taskId":"` + id + `","status":1,"code":0,"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		for _, status := range []int{200, 400} {
			f.Add([]byte(body), id, status, "application/json", uint16(0))
		}
	}
	f.Add([]byte(good), id, 200, "text/plain", uint16(MaxBody-len(good)))
	f.Add([]byte(good), id, 200, "application/json", uint16(MaxBody-len(good)+1))
	f.Add([]byte(good), id, 204, "", uint16(0))
	f.Add([]byte(good), id, 302, "", uint16(0))
	f.Add([]byte(strings.ReplaceAll(good, id, "abc")), "ABC", 200, "", uint16(0))

	ask := asking(f)
	f.Fuzz(func(t *testing.T, body []byte, id string, status int, contentType string, padding uint16) {
		if CheckTaskID(id) != nil {
			return // Never sent.
		}
		body = append(bytes.Clone(body), bytes.Repeat([]byte(" "), int(padding))...)
		got, err := ask(t, id, canned{status: status, header: http.Header{"Content-Type": {contentType}}, body: body})

		want, isTask := Task{}, false
		if status == http.StatusOK && len(body) <= MaxBody {
			want, isTask = described(body, id)
		}
		if isTask != (err == nil) {
			t.Fatalf("got error %v; a task: %v", err, isTask)
		}
		want.SentType, want.SentStatus = want.Type, want.Status
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		for _, s := range []string{got.ID, got.Name, got.TenantID, got.UserID, got.ResultCode} {
			if !utf8.ValidString(s) {
				t.Errorf("%q is not UTF-8", s)
			}
		}
		if err != nil {
			checkRefusal(t, err, status, len(body) > MaxBody)
		}
	})
}

// asking returns a function that makes one attempt and gets a canned answer. It skips the queue, and failures have no
// consequences. Reading the answer may allocate only a bounded amount.
func asking(tb testing.TB) func(t *testing.T, id string, answer canned) (Task, error) {
	tb.Helper()
	transport := &canned{}
	c, err := NewClient(Config{BaseURL: "http://koodrive.test", AllowHTTP: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	g := c.connections.enter()
	g.until = time.Now().Add(24 * time.Hour) // However long the fuzzing lasts.
	g.leave()
	g.transport.RegisterProtocol("http", transport)
	credential, err := Forward(secret.New("token"), "", "")
	if err != nil {
		tb.Fatal(err)
	}
	return func(t *testing.T, id string, answer canned) (Task, error) {
		t.Helper()
		*transport = answer
		before := allocated()
		var task Task
		resp, err := c.attempt(t.Context(), request{Query: Query{credential: credential}, path: taskPath + id})
		if err == nil {
			task, err = resp.task(id)
		}
		if n := allocated() - before; n > maxAllocated(len(answer.body)) {
			t.Errorf("%d bytes were allocated for a body of %d", n, len(answer.body))
		}
		return task, err
	}
}

// The most expensive bodies. As fuzzing seeds they would slow everything down.
func TestReadingAllocatesWithinBounds(t *testing.T) {
	ask := asking(t)
	for _, body := range []string{
		strings.Repeat("[", MaxBody), strings.Repeat(`{"":`, MaxBody/4),
		`{"x":` + strings.Repeat("[", 9990) + strings.Repeat("]", 9990) + "}",
		`{"x":` + strings.Repeat(`{"":`, 9990) + "1" + strings.Repeat("}", 9990) + ",\"taskName\":\"\xff\"}",
		`{"taskName":"` + strings.Repeat("\xff", MaxBody-20) + `"}`,
	} {
		if task, err := ask(t, id, canned{status: 200, body: []byte(body)}); err == nil {
			t.Errorf("got %+v", task)
		}
	}
}

func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// checkRefusal checks the error for an answer with a status.
func checkRefusal(t *testing.T, err error, status int, tooLarge bool) {
	t.Helper()
	if s := shapeOf(err); !shapeForm.MatchString(s) || len(err.Error()) > 1000 {
		t.Errorf("the error is %q", err)
	}
	var refused *StatusError
	var fault *AnswerError
	switch {
	case errors.As(err, &refused):
		if refused.Status != status || !isCode(refused.Code) {
			t.Errorf("status %d: %+v", status, refused)
		}
		if refused.Code == "" && status == http.StatusOK {
			t.Errorf("a 200 without a code refuses: %+v", refused)
		}
	case errors.As(err, &fault):
		if fault.Status != status || fault.Fault.String() == "unknown" || !utf8.ValidString(fault.Detail) {
			t.Errorf("status %d: %+v", status, fault)
		}
		if status == http.StatusOK && tooLarge != (fault.Fault == TooLarge) {
			t.Errorf("too large: %v, but %+v", tooLarge, fault)
		}
	default:
		t.Errorf("untyped error %v", err)
	}
}

// isCode reports whether code is empty, 1 to 32 characters of a code, or a negative number.
func isCode(code string) bool {
	if digits, negative := strings.CutPrefix(code, "-"); negative {
		return digits != "" && strings.Trim(digits, "0123456789") == "" && len(digits) <= 32
	}
	return strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.") == "" && len(code) <= 32
}

// A Retry-After is never negative and never longer than the maximum. Seconds and dates are both parsed.
func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "7", "600", "601", "-5", "+5", "1.5", "1e3", " 7", "0x7", "1_0", "soon", "9999999999", "99999999999", "18446744073709551616",
		strings.Repeat("9", 400), "00000000000000000000000000007", "Sun, 06 Nov 1994 08:49:37 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
		"Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "\x00", "٧",
	} {
		f.Add(value, "", false, int64(0))
		f.Add(value, value, true, int64(30))
	}
	for _, seconds := range []int64{-1 << 40, -1, 0, 1, 30, 601, 1 << 37} {
		f.Add("7", "8", false, seconds)
	}
	f.Fuzz(func(t *testing.T, value, second string, twice bool, seconds int64) {
		values := []string{value}
		if twice {
			values = append(values, second)
		}
		got := retryAfter(http.Header{"Retry-After": values})
		if got < 0 || got > MaxRetryAfter {
			t.Errorf("%q: %v", values, got)
		}
		if twice {
			longer := time.Duration(0)
			for _, one := range values {
				longer = max(longer, retryAfter(http.Header{"Retry-After": {one}}))
			}
			if (got - longer).Abs() > time.Second { // The wait until a date gets shorter meanwhile.
				t.Errorf("%q: %v, want %v", values, got, longer)
			}
		}
		if value != "" && strings.Trim(value, "0123456789") == "" && !twice {
			n, _ := new(big.Int).SetString(value, 10)
			want := MaxRetryAfter
			if n.Cmp(big.NewInt(600)) < 0 {
				want = time.Duration(n.Int64()) * time.Second
			}
			if got != want {
				t.Errorf("%q: %v, want %v", value, got, want)
			}
		}
		// HTTP dates have four-digit years.
		at := time.Now().Add(time.Duration(seconds) * time.Second).UTC().Truncate(time.Second)
		if at.Year() < 1 || at.Year() > 9999 {
			return
		}
		most := min(max(time.Until(at), 0), MaxRetryAfter)
		got = retryAfter(http.Header{"Retry-After": {at.Format(http.TimeFormat)}})
		least := min(max(time.Until(at), 0), MaxRetryAfter)
		if got < least || got > most {
			t.Errorf("%v: %v, want %v to %v", at, got, least, most)
		}
	})
}
