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

// browsers limits the number of running Chromiums.
var browsers = make(chan struct{}, 2)

// tab is a page in a Chromium of its own. It records faults, which no page of kootask may have: requests to other servers, errors
// and warnings on the console, exceptions, the browser's own issues, such as policy violations, and barriers to accessibility.
type tab struct {
	ctx      context.Context
	origin   string // Of the page. No other origin may be requested.
	closed   bool
	judged   bool
	expected []*regexp.Regexp // Faults.

	mu     sync.Mutex // Guards the following fields.
	faults []string
	urls   []string // All requested URLs.
}

// openTab opens a page. The test must call judge at its end, while everything that the page needs is still there.
func openTab(t *testing.T, url string, before ...chromedp.Action[chromedp.Void]) *tab {
	t.Helper()
	p := &tab{origin: regexp.MustCompile(`^https?://[^/]+`).FindString(url) + "/"}
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(need(t, "pages")), chromedp.Flag("accept-lang", "en-US"),
		// The browser must treat hidden tabs as hidden.
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
			t.Error("the page was not judged")
		}
	})
	p.do(t, command(network.Enable, network.EnableParams{}), command(audits.Enable, cdp.Empty{}))
	p.do(t, append(before, found(), desktop.show(), chromedp.Navigate(url))...)
	return p
}

// hear records an event of the page.
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

// expects announces a fault that the test causes or cannot avoid, and that occurs at least once.
func (p *tab) expects(pattern string) {
	p.expected = append(p.expected, regexp.MustCompile(pattern))
}

// judge fails the test if the page has an unexpected fault, or lacks an expected one.
func (p *tab) judge(t *testing.T) {
	p.judged = true
	if t.Failed() && !p.closed {
		p.shoot(t, "failed-"+regexp.MustCompile(`\W+`).ReplaceAllString(t.Name(), "-"), true)
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

// requested returns the requested URLs that match.
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
