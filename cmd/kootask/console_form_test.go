package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// tabTo presses Tab until the element of a selector has the focus. The focus is never lost on the way.
func (p *tab) tabTo(t *testing.T, selector string) {
	t.Helper()
	for range 40 {
		p.press(t, kb.Tab)
		p.focused(t)
		if eval[bool](t, p, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			return
		}
	}
	t.Fatalf("Tab does not lead to %s", selector)
}

// focused fails if the focus is lost: a keyboard user would have to start over.
func (p *tab) focused(t *testing.T) {
	t.Helper()
	if eval[bool](t, p, `document.activeElement === document.body || document.activeElement === null`) {
		t.Fatal("the focus is lost")
	}
}

// Everything works with the keyboard alone, and the focus is never lost.
func TestConsoleKeyboard(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(3)
	first, second := ids[0], ids[1]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.tabTo(t, "#token")
	const described = `document.querySelector('#token').getAttribute('aria-describedby').split(' ')`
	if hidden := eval[bool](t, p, described+`.some((id) => { const e = document.getElementById(id); return e.hidden && e.textContent !== ''; })`); hidden {
		t.Error("the token's field is described by a hidden element")
	}
	p.press(t, pageToken)
	p.tabTo(t, "#ids")
	p.press(t, strings.Join(ids, kb.Enter))
	p.tabTo(t, "#watch")
	p.press(t, kb.Enter)
	p.becomes(t, second, "state", "EXECUTING")
	p.focused(t)

	p.tabTo(t, card(first, ".stop"))
	p.press(t, kb.Enter)
	p.becomes(t, first, "connection", "stopped")
	p.sees(t, fmt.Sprintf(`document.activeElement.matches(%q)`, card(first, ".again")))
	p.press(t, " ")
	p.becomes(t, first, "connection", "live")
	p.sees(t, fmt.Sprintf(`document.activeElement.matches(%q)`, card(first, ".stop")))
	s.set(first, koodrivetest.StatusSuccess) // The focused button disappears. Its replacement must not be pressed by mistake.
	p.becomes(t, first, "connection", "ended")
	p.sees(t, fmt.Sprintf(`document.activeElement.matches(%q)`, card(first, ".id")))

	p.tabTo(t, card(first, "summary"))
	p.press(t, kb.Enter)
	p.sees(t, fmt.Sprintf(`document.querySelectorAll(%q).length > 0`, card(first, "li")))
	p.tabTo(t, card(first, ".timeline"))
	p.tabTo(t, card(second, ".remove"))
	p.press(t, kb.Enter)
	p.sees(t, fmt.Sprintf(`document.querySelector(%q) === null`, card(second, "")))
	p.sees(t, fmt.Sprintf(`document.activeElement.matches(%q)`, card(ids[2], ".remove")))
	p.press(t, kb.Enter)
	p.sees(t, fmt.Sprintf(`document.activeElement.matches(%q)`, card(first, ".remove")))
	p.press(t, kb.Enter)
	p.sees(t, `document.activeElement.matches('#ids')`)
	s.settles(t)
}

// Invalid input is not sent: the page shows the error beside the field.
func TestConsoleBadInput(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := openTab(t, s.url)
	defer p.judge(t)
	for _, row := range []struct{ token, ids, field, says string }{
		{pageToken, "", "ids", "Enter at least one task id."},
		{pageToken, "1534087020903704801 a/b", "ids", "“a/b”"},
		{pageToken, strings.Repeat("9", 65), "ids", "1 to 64 letters"},
		{"", "1534087020903704801", "token", "Paste a token here"},
		{"tokén", "1534087020903704801", "token", "cannot be sent"},
	} {
		p.watch(t, row.token, row.ids)
		p.sees(t, fmt.Sprintf(`document.querySelector('#%[1]s').getAttribute('aria-invalid') === 'true' && document.activeElement.id === '%[1]s'`, row.field))
		p.sees(t, fmt.Sprintf(`document.querySelector('#%[1]s').getAttribute('aria-describedby').split(' ').includes('%[1]s-error')`, row.field))
		if says := p.text(t, "#"+row.field+"-error"); !strings.Contains(says, row.says) {
			t.Errorf("for %q the error is %q", row, says)
		}
		if n := eval[int](t, p, `document.querySelectorAll('[aria-invalid=true]').length`); n != 1 {
			t.Errorf("for %q %d fields are invalid", row, n)
		}
	}
	p.looks(t, "bad-input")
	if asked := p.requested(`/v1/`); len(asked) != 0 || s.koodrive.Count() != 0 {
		t.Errorf("it asked for %q", asked)
	}
}

// A wrong token gives an error, in either language, and another one can be entered.
func TestConsoleWrongToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id := s.setMany(1)[0]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.expects(`^log: network: .* 401 .*` + id)
	p.watch(t, "another", id)
	p.becomes(t, id, "connection", "failed")
	const name = "CREDENTIAL_REJECTED"
	catalogue := reason.Catalogue()
	for _, language := range []string{reason.English, reason.Chinese, reason.English} {
		p.speak(t, language)
		says := p.text(t, card(id, ".failure"))
		for _, want := range []string{name, "UNAUTHENTICATED", catalogue[language][name]} {
			if !strings.Contains(says, want) {
				t.Errorf("in %s it says %q, without %q", language, says, want)
			}
		}
		if !regexp.MustCompile(`\b[0-9a-f]{32}\b`).MatchString(says) {
			t.Errorf("it says %q, without the request's id", says)
		}
	}
	p.looks(t, "wrong-token")
	p.fill(t, "#token", pageToken)
	p.click(t, card(id, ".again"))
	p.becomes(t, id, "connection", "live")
	p.becomes(t, id, "state", "EXECUTING")
	p.sees(t, fmt.Sprintf(`document.querySelector(%q).hidden`, card(id, ".failure")))
}

// keepsNothing fails if the page stores anything in the browser.
func (p *tab) keepsNothing(t *testing.T) {
	t.Helper()
	p.expects(`^issue: PerformanceIssue .*DocumentCookie`) // The test itself reads the cookies.
	kept := eval[string](t, p, `(async () => JSON.stringify([
		{ ...localStorage }, { ...sessionStorage }, document.cookie, history.state, await caches?.keys(), (await indexedDB.databases()).map((d) => d.name), name,
	]))()`)
	if kept != `[{},{},"",null,[],[],""]` {
		t.Errorf("it keeps %s", kept)
	}
}

// A token is only in its field.
func TestConsoleKeepsNoToken(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id := s.setMany(1)[0]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.watch(t, pageToken, id)
	p.becomes(t, id, "state", "EXECUTING")
	p.keepsNothing(t)
	if at := eval[string](t, p, `location.href`); at != s.url {
		t.Errorf("it is at %s", at)
	}
	if html := eval[string](t, p, `document.documentElement.outerHTML`); strings.Contains(html, pageToken) {
		t.Errorf("it stands in the document: %s", html)
	}
	if asked := p.requested(`:watch$`); len(asked) == 0 {
		t.Error("no watch was requested")
	}
	if asked := p.requested(pageToken); len(asked) != 0 {
		t.Errorf("it asked for %q", asked)
	}
	eval[chromedp.Void](t, p, `location.reload()`)
	p.sees(t, `document.readyState === 'complete' && document.querySelectorAll('.card').length === 0 && document.querySelector('#token').value === ''`)
}

// All texts follow the language, whatever their origin.
func TestConsoleLanguages(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(4)
	p := openTab(t, s.url)
	defer p.judge(t)
	p.expects(`^log: network: .* 404 `)
	s.koodrive.RemoveTask(ids[3])
	p.watch(t, pageToken, ids...)
	for _, id := range ids[:3] {
		p.becomes(t, id, "state", "EXECUTING")
	}
	p.becomes(t, ids[3], "connection", "failed")
	s.set(ids[0], koodrivetest.StatusFailed)
	p.becomes(t, ids[0], "connection", "ended")
	p.click(t, card(ids[1], ".stop"))
	eval[chromedp.Void](t, p, `document.querySelector('#more').open = true`)
	for _, id := range ids {
		p.history(t, id)
	}
	s.koodrive.SetFault(koodrivetest.Answer(503, ""))
	p.sees(t, fmt.Sprintf(`document.querySelector(%q)`, card(ids[2], ".health.failing")))

	// Everything with words, and the names of elements.
	const words = `[...document.querySelectorAll('[data-text], [data-said], .timeline li')].filter((e) => e.checkVisibility())
		.flatMap((e) => [e.textContent, e.ariaLabel].map((words) => ({ what: e.dataset.text ?? e.closest('[class]')?.className ?? e.id, words })))
		.filter(({ what, words }) => words !== null)`
	type said struct{ What, Words string }
	p.speak(t, reason.English)
	english := eval[[]said](t, p, words)
	p.speak(t, reason.Chinese)
	chinese := eval[[]said](t, p, words)
	if lang := eval[string](t, p, `document.documentElement.lang`); lang != reason.Chinese || len(english) < 60 || len(english) != len(chinese) {
		t.Fatalf("in %s it says %d texts, in English %d", lang, len(chinese), len(english))
	}
	asItIs := regexp.MustCompile(`^(\d+|[A-Z_]+ \([A-Z_]+\)|[a-z]+[A-Z][A-Za-z]+|[0-9a-f]{32})$`) // Ids, numbers and names.
	inChinese := regexp.MustCompile(`\p{Han}`)
	for i, text := range english {
		switch other := chinese[i]; {
		case text.Words == "" || inChinese.MatchString(text.Words):
			t.Errorf("%s is %q in English", text.What, text.Words)
		case !asItIs.MatchString(text.Words) && !inChinese.MatchString(other.Words):
			t.Errorf("%s is %q in Chinese, and %q in English", other.What, other.Words, text.Words)
		}
	}
}

// A Chinese browser gets Chinese by default.
func TestConsoleStartsInTheBrowsersLanguage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	agent := emulation.SetUserAgentOverrideParams{UserAgent: "test", AcceptLanguage: "zh-CN"}
	p := openTab(t, s.url, command(emulation.SetUserAgentOverride, agent))
	defer p.judge(t)
	p.sees(t, `document.documentElement.lang === 'zh-CN' && document.querySelector('#language').value === 'zh-CN'`)
	id := s.setMany(1)[0]
	p.watch(t, pageToken, id)
	p.becomes(t, id, "state", "EXECUTING")
	for selector, want := range map[string]string{"#watch": "开始监听", card(id, ".stop"): "停止", card(id, ".remove"): "移除", card(id, ".connection"): "实时"} {
		if says := p.text(t, selector); says != want {
			t.Errorf("%s says %q", selector, says)
		}
	}
}
