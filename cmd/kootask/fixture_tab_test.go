package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// close closes the tab, and not the browser.
func (p *tab) close(t *testing.T) {
	t.Helper()
	id := chromedp.FromContext(p.ctx).Target.TargetID
	if _, err := chromedp.CallBrowser(p.ctx, target.CloseTarget, target.CloseTargetParams{TargetID: id}); err != nil {
		t.Fatal(err)
	}
	p.closed = true
}

// another opens a page in another tab of the same browser, and hides this one. It is judged with this one.
func (p *tab) another(t *testing.T, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx)
	t.Cleanup(cancel)
	other := &tab{ctx: ctx, origin: p.origin}
	other.do(t, found(), desktop.show(), chromedp.Navigate(url))
	return other
}

// command is a command of the browser's protocol whose result does not matter.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
}

func (p *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// eval evaluates an expression on the page, which the page's policy does not forbid to the debugger. It may be a promise.
func eval[T any](t *testing.T, p *tab, expression string) T {
	t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// sees waits until an expression is true on the page.
func (p *tab) sees(t *testing.T, expression string) {
	t.Helper()
	seen := false
	defer func() {
		if !seen {
			t.Logf("this never becomes true: %s", expression)
		}
	}()
	await(t, nil, func() bool { return eval[bool](t, p, "Boolean("+expression+")") })
	seen = true
}

// text is the visible text of the first element that a selector finds.
func (p *tab) text(t *testing.T, selector string) string {
	t.Helper()
	return eval[string](t, p, fmt.Sprintf(`document.querySelector(%q).innerText`, selector))
}

// click clicks on an element.
func (p *tab) click(t *testing.T, selector string) {
	t.Helper()
	p.do(t, chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// fill replaces the value of a field by typing.
func (p *tab) fill(t *testing.T, selector, value string) {
	t.Helper()
	eval[chromedp.Void](t, p, fmt.Sprintf(`{ const field = document.querySelector(%q); field.focus(); field.select(); }`, selector))
	p.press(t, kb.Backspace+value)
}

// press presses keys, wherever the focus is.
func (p *tab) press(t *testing.T, keys string) {
	t.Helper()
	p.do(t, chromedp.KeyEvent(keys))
}
