package canaries_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/kootask/kootask/internal/canaries"
)

// texts contain the characters that each encoding changes.
var texts = []string{"canary-0123456789", "Ca?n~a>ry+0/1=2", "a \"ca\\nary\"\n<&>%", "任务-canary-ÿ\x7f"}

// leaks are ways in which a text may be printed.
var leaks = map[string]func(string) string{
	"as it is":                 func(s string) string { return s },
	"base64":                   func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64, not padded":       func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
	"base64 for URLs":          func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
	"the same, not padded":     func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
	"hex":                      func(s string) string { return hex.EncodeToString([]byte(s)) },
	"HEX":                      func(s string) string { return fmt.Sprintf("%X", s) },
	"in a query":               url.QueryEscape,
	"in a path":                url.PathEscape,
	"%q":                       func(s string) string { return fmt.Sprintf("%q", s) },
	"%+q":                      func(s string) string { return fmt.Sprintf("%+q", s) },
	"bytes":                    func(s string) string { return fmt.Sprintf("%d", []byte(s)) },
	"JSON":                     func(s string) string { text, _ := json.Marshal(map[string]string{"a": s}); return string(text) },
	"%q in JSON":               func(s string) string { text, _ := json.Marshal(fmt.Sprintf("%q", s)); return string(text) },
	"JSON in %q":               func(s string) string { text, _ := json.Marshal(s); return fmt.Sprintf("%q", text) },
	"a query in a log of JSON": func(s string) string { return logged(url.QueryEscape(s), true) },
	"a log of JSON":            func(s string) string { return logged(s, true) },
	"a log of text":            func(s string) string { return logged(s, false) },
}

func logged(s string, asJSON bool) string {
	var b strings.Builder
	var handler slog.Handler = slog.NewTextHandler(&b, nil)
	if asJSON {
		handler = slog.NewJSONHandler(&b, nil)
	}
	slog.New(handler).Warn("it failed", "error", "with: "+s)
	return b.String()
}

// Each encoding is decoded, whatever precedes and follows the text.
func TestEncodingsAreSeenThrough(t *testing.T) {
	for _, text := range texts {
		c := canaries.New("it", text)
		for name, leak := range leaks {
			for _, before := range []string{"", "B", "Be", "Bea"} {
				for _, after := range []string{"", "\n", ".y", "xyz"} {
					if s := leak(before + text + after); c.In("<"+s+">") == "" {
						t.Errorf("%q is not found as %s in %s", text, name, s)
					}
				}
			}
		}
	}
}

func TestNothingIsFoundWhereNothingIs(t *testing.T) {
	for _, text := range texts {
		c := canaries.New("it", text)
		for name, leak := range leaks {
			half := text[:len(text)/2]
			for _, s := range []string{"", "nothing", half + half, text[1:]} {
				if form := c.In(leak(s)); form != "" {
					t.Errorf("%q is found %s in %q, %s", text, form, s, name)
				}
			}
		}
	}
}
