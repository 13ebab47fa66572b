package upstream

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/secret"
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
		ahead := func(d time.Duration, more ...string) http.Header { // KooDrive's clock is correct.
			return http.Header{"Date": {date(d)}, "Age": more}
		}
		for _, row := range []struct {
			values []string
			header http.Header
			want   time.Duration
		}{
			{nil, nil, 0},
			{[]string{"7"}, nil, 7 * time.Second},
			{[]string{"0"}, nil, 0},
			{[]string{"-5"}, nil, 0},
			{[]string{"+5"}, nil, 0},
			{[]string{"1.5"}, nil, 1500 * time.Millisecond},
			{[]string{"600.1"}, nil, MaxRetryAfter},
			{[]string{"1."}, nil, 0},
			{[]string{"1e3"}, nil, 0},
			{[]string{"soon"}, nil, 0},
			{[]string{"601"}, nil, MaxRetryAfter},
			{[]string{"9999999999"}, nil, MaxRetryAfter},
			{[]string{strings.Repeat("9", 400)}, nil, MaxRetryAfter},
			{[]string{date(30 * time.Second)}, nil, 30 * time.Second},
			{[]string{date(-time.Hour)}, nil, 0},
			{[]string{date(24 * time.Hour)}, nil, MaxRetryAfter},
			// Of several Retry-After values the longest counts, in whatever form.
			{[]string{"7", "8"}, nil, 8 * time.Second},
			{[]string{"8", "7", "8"}, nil, 8 * time.Second},
			{[]string{"8", "soon"}, nil, 8 * time.Second},
			{[]string{"5, 30"}, nil, 30 * time.Second},
			{[]string{"5", date(20 * time.Second)}, nil, 20 * time.Second},
			{[]string{date(20*time.Second) + ", 30"}, nil, 30 * time.Second},
			{[]string{"5, " + date(20*time.Second)}, nil, 20 * time.Second},
			// A date is read by the clock of the answer's Date.
			{[]string{date(150 * time.Second)}, ahead(2 * time.Minute), 30 * time.Second},
			{[]string{date(-90 * time.Second)}, ahead(-2 * time.Minute), 30 * time.Second},
			{[]string{date(-2 * time.Minute)}, ahead(-time.Minute), 0},
			{[]string{date(30 * time.Second)}, ahead(-time.Minute, "60"), 30 * time.Second}, // From a cache.
			{[]string{date(30 * time.Second)}, http.Header{"Date": {"today"}}, 30 * time.Second},
			{[]string{"30"}, ahead(-2 * time.Minute), 30 * time.Second},
		} {
			header := row.header.Clone()
			if header == nil {
				header = http.Header{}
			}
			header["Retry-After"] = row.values
			if got := retryAfter(header); got != row.want {
				t.Errorf("retryAfter(%q) = %v, want %v", header, got, row.want)
			}
		}
	})
}

// BenchmarkQuery measures the cost of a call before its request: checks and hashes.
func BenchmarkQuery(b *testing.B) {
	c, err := NewClient(Config{BaseURL: "https://koodrive.test"})
	if err != nil {
		b.Fatal(err)
	}
	credential, err := Forward(secret.New("Bearer "+strings.Repeat("x", 40)), "", "")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Query(credential, id); err != nil {
			b.Fatal(err)
		}
		_ = c.PeerKey("192.0.2.1")
	}
}

// A text that KooDrive sends may repeat a secret of the request, or the ids in it. Short parts are the same by chance.
func TestEchoes(t *testing.T) {
	c, err := NewClient(Config{BaseURL: "http://koodrive.test", AllowHTTP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	own, err := Forward(secret.New("Bearer s3cr3t-t0ken"), "u-1395497048157130881", "")
	if err != nil {
		t.Fatal(err)
	}
	apps, err := (&App{ID: "app", Secrets: func() []secret.Value { return []secret.Value{secret.New("an-apps-secret")} }}).As("u-42-42-42")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		credential Credential
		text       string
		want       bool
	}{
		{own, "s3cr3t-t0ken", true},
		{own, "Bearer s3cr3t-t0ken", true},
		{own, "Bearer+s3cr3t-t0ken!", true},
		{own, "s3cr3t-t", true},
		{own, "cr3t-t0ken", true},
		{own, "3t-t0ken", true},
		{own, "t-t0ken", false},
		{own, "s3cr3t_t0ken", false},
		{own, id, true},
		{own, "1395497048157130881", true},
		{own, "18000205", false},
		{own, "", false},
		{apps, "u-42-42-42", true},
		{apps, id, true},
		{apps, "18000205", false},
	} {
		q, err := c.Query(row.credential, id)
		if err != nil {
			t.Fatal(err)
		}
		if got := q.Echoes(row.text); got != row.want {
			t.Errorf("%q: %v", row.text, got)
		}
	}
}
