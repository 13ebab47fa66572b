package koodrivetest_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

func TestTokenForms(t *testing.T) {
	k := koodrivetest.New()
	k.AddToken("plain", 0)
	k.AddToken("Bearer prefixed", 0)
	k.AddToken("AT carrier", 0)
	c := serve(t, k)
	for _, tt := range []struct {
		authorization string
		refused       string // in the log
	}{
		{"Bearer plain", ""},
		{"Bearer prefixed", ""},
		{"AT carrier", ""},
		{"Bearer+plain", "unknown token"},
		{"Bearer  plain", "unknown token"},
		{"bearer plain", "unknown token"},
		{"plain", "unknown token"},
		{"AT plain", "unknown token"},
		{"Bearer carrier", "unknown token"},
		{"Bearer other", "unknown token"},
		{"", "unknown token"},
	} {
		t.Run(tt.authorization, func(t *testing.T) {
			resp, body := c.do(c.request("GET", taskPath+exampleID, "", "Authorization", tt.authorization))
			requests := k.Requests()
			if got := requests[len(requests)-1].Refused; got != tt.refused {
				t.Errorf("refused %q, want %q", got, tt.refused)
			}
			if tt.refused == "" && resp.StatusCode != 200 {
				t.Errorf("got %s %s", resp.Status, body)
			}
			if tt.refused != "" && (resp.StatusCode != 401 || !strings.Contains(body, `"error_code":"APIGW.0301"`)) {
				t.Errorf("got %s %s", resp.Status, body)
			}
		})
	}
}

func TestNoOrTwoTokens(t *testing.T) {
	c := serve(t, koodrivetest.New())
	for _, values := range [][]string{nil, {"Bearer test", "Bearer test"}} {
		r := c.request("GET", taskPath+exampleID, "")
		r.Header["Authorization"] = values
		if resp, body := c.do(r); resp.StatusCode != 401 || !strings.Contains(body, "APIGW.0301") {
			t.Errorf("%q: got %s %s", values, resp.Status, body)
		}
	}
}

func TestTokenExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := koodrivetest.New()
		c := serve(t, k)
		k.AddToken("test", 20*time.Minute)
		for range 5 { // each call keeps it alive
			time.Sleep(20*time.Minute - 1)
			if resp, _ := c.get(exampleID); resp.StatusCode != 200 {
				t.Fatalf("a token in use: %s", resp.Status)
			}
		}
		time.Sleep(20 * time.Minute)
		for range 2 { // a refused call does not
			if resp, _ := c.get(exampleID); resp.StatusCode != 401 {
				t.Errorf("an idle token: %s", resp.Status)
			}
		}
		if got := k.Requests()[k.Count()-1].Refused; got != "token expired" {
			t.Errorf("refused %q", got)
		}
		k.AddToken("test", 0)
		time.Sleep(1000 * time.Hour)
		if resp, _ := c.get(exampleID); resp.StatusCode != 200 {
			t.Errorf("a token that lasts: %s", resp.Status)
		}
		k.RevokeToken("Bearer test")
		if resp, _ := c.get(exampleID); resp.StatusCode != 401 {
			t.Errorf("a revoked token: %s", resp.Status)
		}
	})
}
