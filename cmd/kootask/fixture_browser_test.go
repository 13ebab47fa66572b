package main

import (
	"context"
	"encoding/json"
	"fmt"
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

// browsers has a place for each Chromium that may run at a time.
var browsers = make(chan struct{}, 2)

// tab is a page in a Chromium of its own. Whatever no page of kootask's should do is a fault: requests to others, errors and warnings on
// the console, exceptions, what the browser finds wrong with it, like a violation of its policy, and what hinders some people.
type tab struct {
	ctx      context.Context
	origin   string // Of the page. Others are not to be asked.
	closed   bool
	judged   bool
	expected []*regexp.Regexp // Faults.

	mu     sync.Mutex // Guards what follows.
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

// hear notes what the page does.
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

// judge fails the test if the page has done what it should not, or has not what is expected of it.
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
