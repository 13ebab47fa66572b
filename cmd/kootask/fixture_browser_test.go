package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browsers limits the number of running Chromiums.
var browsers = make(chan struct{}, 2)

// tab is a page in a Chromium of its own. Each of these is a fault: requests to other servers, errors and warnings on the console,
// exceptions, findings of the browser such as a violation of the page's policy, and accessibility problems.
type tab struct {
	ctx      context.Context
	origin   string // Of the page. Others are not to be asked.
	closed   bool
	judged   bool
	expected []*regexp.Regexp // Faults.

	mu     sync.Mutex // Guards the fields below.
	faults []string
	urls   []string // All that were requested.
}

// openTab opens a page. The test has to judge it at its end, while all that the page needs is still there.
func openTab(t *testing.T, url string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	p := &tab{origin: regexp.MustCompile(`^https?://[^/]+`).FindString(url) + "/"}
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(need(t, "pages")), chromedp.Flag("accept-lang", "en-US"),
		// A tab that nobody sees is to be treated as such.
		chromedp.Flag("disable-background-timer-throttling", false), chromedp.Flag("disable-renderer-backgrounding", false),
		chromedp.Flag("disable-backgrounding-occluded-windows", false),
	})
	browsers <- struct{}{}
	allocator, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), options...)
	t.Cleanup(func() { stop(); <-browsers })
	var cancel context.CancelFunc
	p.ctx, cancel = chromedp.NewContext(allocator, chromedp.WithListener(p.hear))
	t.Cleanup(cancel)
	t.Cleanup(func() {
		if !p.judged {
			t.Error("nobody has judged the page")
		}
	})
	p.do(t, command(network.Enable, network.EnableParams{}), command(audits.Enable, cdp.Empty{}))
	p.do(t, append(before, desktop.show(), chromedp.Navigate(url))...)
	return p
}

// hear notes the events of the page.
func (p *tab) hear(event any) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		p.mu.Lock()
		p.urls = append(p.urls, e.Request.URL)
		p.mu.Unlock()
		if !strings.HasPrefix(e.Request.URL, p.origin) && !strings.HasPrefix(e.Request.URL, "data:") {
			p.fault("it asks for %s", e.Request.URL)
		}
	case *network.EventWebSocketCreated:
		p.fault("it opens %s", e.URL)
	case *runtime.EventConsoleAPICalled:
		if slices.Contains([]string{"error", "warning", "assert"}, string(e.Type)) {
			words, _ := json.Marshal(e.Args)
			p.fault("console: %s %s", e.Type, words)
		}
	case *runtime.EventExceptionThrown:
		p.fault("exception: %v", &chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails})
	case *log.EventEntryAdded:
		if slices.Contains([]string{"error", "warning"}, string(e.Entry.Level)) {
			p.fault("log: %s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL)
		}
	case *audits.EventIssueAdded:
		details, _ := json.Marshal(e.Issue.Details)
		p.fault("issue: %s %s", e.Issue.Code, details)
	}
}

func (p *tab) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// expects names a fault that the test itself brings about, or cannot help, at least once.
func (p *tab) expects(pattern string) {
	p.expected = append(p.expected, regexp.MustCompile(pattern))
}

// judge fails the test if the page has faults, or lacks expected ones.
func (p *tab) judge(t *testing.T) {
	p.judged = true
	if t.Failed() && !p.closed {
		p.shoot(t, "failed-"+regexp.MustCompile(`\W+`).ReplaceAllString(t.Name(), "-"))
		t.Logf("the page says:\n%s", eval[string](t, p, `document.body.innerText`))
	}
	for _, e := range p.expected {
		if t.Failed() {
			break
		}
		await(t, nil, func() bool { return slices.ContainsFunc(p.noted(), e.MatchString) })
	}
	for _, fault := range p.noted() {
		if !slices.ContainsFunc(p.expected, func(e *regexp.Regexp) bool { return e.MatchString(fault) }) {
			t.Error(fault)
		}
	}
}

func (p *tab) noted() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.faults)
}

// requested are the URLs that were requested so far and match.
func (p *tab) requested(pattern string) (all []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, url := range p.urls {
		if regexp.MustCompile(pattern).MatchString(url) {
			all = append(all, url)
		}
	}
	return all
}

// Note the faults of the page.
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
