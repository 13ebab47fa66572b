package upstream

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCheckTaskID(t *testing.T) {
	for _, good := range []string{id, "1", "a-B_9", "lists", strings.Repeat("x", 64)} {
		if err := CheckTaskID(good); err != nil {
			t.Errorf("CheckTaskID(%q) = %v", good, err)
		}
	}
	for bad, want := range map[string]TaskIDProblem{
		"": TaskIDMissing, strings.Repeat("x", 65): TaskIDTooLong,
		"list": TaskIDReserved, "LIST": TaskIDReserved, "result": TaskIDReserved, "Create": TaskIDReserved, "dstuserinfo": TaskIDReserved,
		"..": TaskIDMalformed, ".": TaskIDMalformed, "a/b": TaskIDMalformed, "//evil.example/x": TaskIDMalformed, "../users/1": TaskIDMalformed,
		"a%2Fb": TaskIDMalformed, "a?b": TaskIDMalformed, "a#b": TaskIDMalformed, "a b": TaskIDMalformed, "a\n": TaskIDMalformed, "\n": TaskIDMalformed,
		"a;b": TaskIDMalformed, "a\\b": TaskIDMalformed, "ä": TaskIDMalformed, "\xff": TaskIDMalformed, "a\x00": TaskIDMalformed, "١": TaskIDMalformed,
		"ＬＩＳＴ": TaskIDMalformed, "liſt": TaskIDMalformed, "a:watch": TaskIDMalformed, "@": TaskIDMalformed,
	} {
		var got *TaskIDError
		if err := CheckTaskID(bad); !errors.As(err, &got) || got.Problem != want {
			t.Errorf("CheckTaskID(%q) = %v, want problem %d", bad, err, want)
		}
	}
}

func TestTraceHeader(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f_]{58}$`)
	given := TraceID{0x4b, 15: 0x36}
	if h := given.header(); !form.MatchString(h) || !strings.HasPrefix(h, "4b000000000000000000000000000036_") {
		t.Errorf("header of a given trace: %s", h)
	}
	var none TraceID
	if a, b := none.header(), none.header(); !form.MatchString(a) || a[:32] == b[:32] {
		t.Errorf("headers of no trace: %s, %s", a, b)
	}
}

func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		for _, row := range []struct {
			values []string
			want   time.Duration
		}{
			{nil, 0},
			{[]string{"7"}, 7 * time.Second},
			{[]string{"0"}, 0},
			{[]string{"-5"}, 0},
			{[]string{"1.5"}, 0},
			{[]string{"soon"}, 0},
			{[]string{"7", "8"}, 0},
			{[]string{"601"}, MaxRetryAfter},
			{[]string{"9999999999"}, MaxRetryAfter},
			{[]string{"99999999999"}, MaxRetryAfter},
			{[]string{strings.Repeat("9", 40)}, MaxRetryAfter},
			{[]string{date(30 * time.Second)}, 30 * time.Second},
			{[]string{date(-time.Hour)}, 0},
			{[]string{date(24 * time.Hour)}, MaxRetryAfter},
		} {
			if got := retryAfter(http.Header{"Retry-After": row.values}); got != row.want {
				t.Errorf("retryAfter(%q) = %v, want %v", row.values, got, row.want)
			}
		}
	})
}
