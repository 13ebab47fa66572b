package koodrivetest_test

import (
	"strings"
	"testing"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestOptionalHeaders(t *testing.T) {
	for _, tt := range []struct {
		name, value string
		ok          bool
	}{
		{"X-Traceid", strings.Repeat("aZ", 28) + "_9", true},
		{"X-Traceid", strings.Repeat("a", 57), false},
		{"X-Traceid", strings.Repeat("a", 59), false},
		{"X-Traceid", strings.Repeat("a", 57) + "-", false},
		{"X-Traceid", strings.Repeat("a", 28) + " " + strings.Repeat("a", 29), false},
		{"X-Traceid", "", false},
		{"language", "zh-CN", true},
		{"language", "en-US", true},
		{"language", "zh_cn", false},
		{"language", "en-us", false},
		{"language", "", false},
	} {
		t.Run(tt.name+"="+tt.value, func(t *testing.T) {
			k := koodrivetest.New()
			c := serve(t, k)
			resp, body := c.do(c.request("GET", taskPath+exampleID, "", tt.name, tt.value))
			if ok := resp.StatusCode == 200; ok != tt.ok {
				t.Errorf("got %s %s", resp.Status, body)
			}
			if !tt.ok && body != `{"code":13000102,"msg":"Verify parameters failed."}` {
				t.Errorf("got %s", body)
			}
			if why := k.Requests()[0].Refused; (why == "") != tt.ok || !tt.ok && !strings.HasPrefix(why, tt.name) {
				t.Errorf("refused: %q", why)
			}
		})
	}
}
