package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

// A tab records the faults of its page.
func TestTabNotesFaults(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Security-Policy", "script-src 'nonce-good'")
		_, _ = io.WriteString(w, `<!DOCTYPE html><html lang="en"><title>faulty</title><link rel="icon" href="data:,"><body>
			<script>document.title = 'forbidden'</script><img src="`+other.URL+`/" alt="">
			<script nonce="good">console.error('wrong'); console.warn('odd'); setTimeout(() => { throw new Error('thrown') });
				fetch('/none').then(() => { document.title = 'seen' })</script>`)
	}))
	t.Cleanup(page.Close)
	p := openTab(t, page.URL)
	defer p.judge(t)
	for _, fault := range []string{
		`^it asks for ` + other.URL, `^issue: .*ResponseWasBlockedByORB.*` + other.URL, `^log: network: .* 404 .*/none`, `^issue: ContentSecurityPolicyIssue `,
		`^log: security: .*inline script`, `^console: error .*wrong`, `^console: warning .*odd`, `^exception: .*thrown`,
	} {
		p.expects(fault)
	}
	p.sees(t, `document.title === 'seen'`)
}
