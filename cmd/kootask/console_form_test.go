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

// tabTo presses Tab until an element has the focus. The focus is never lost on the way.
func (p *tab) tabTo(t *testing.T, element string) {
	t.Helper()
	for range 60 {
		p.press(t, kb.Tab)
		p.focused(t)
		if eval[bool](t, p, `document.activeElement === `+element) {
			return
		}
	}
	t.Fatalf("Tab does not lead to %s", element)
}

// focused fails if the focus is lost: a keyboard user would have to start over.
func (p *tab) focused(t *testing.T) {
	t.Helper()
	if eval[bool](t, p, `document.activeElement === document.body || document.activeElement === null`) {
		t.Fatal("the focus is lost")
	}
}

// focusOn waits until an element has the focus.
func (p *tab) focusOn(t *testing.T, element string) {
	t.Helper()
	p.sees(t, element+` && document.activeElement === `+element)
}

// Everything works with the keyboard alone, and the focus is never lost.
func TestConsoleKeyboard(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(3)
	first, second, third := ids[0], ids[1], ids[2]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.tabTo(t, byRole("textbox", "KooDrive token"))
	const described = `document.activeElement.getAttribute('aria-describedby').split(' ')`
	if hidden := eval[bool](t, p, described+`.some((id) => { const e = document.getElementById(id); return e.hidden && e.textContent !== ''; })`); hidden {
		t.Error("the token's field is described by a hidden element")
	}
	p.press(t, pageToken)
	p.tabTo(t, byRole("textbox", "Task ids"))
	p.press(t, strings.Join(ids, kb.Enter))
	p.tabTo(t, byRole("button", "Watch"))
	p.press(t, kb.Enter)
	p.focusOn(t, byRole("button", "Watch tasks"))
	p.becomes(t, second, inStatus, "EXECUTING")

	p.tabTo(t, byRole("button", "Stop watching "+first))
	p.press(t, kb.Enter)
	p.becomes(t, first, inWatch, "Stopped")
	p.focusOn(t, byRole("button", "Watch again: "+first))
	p.press(t, " ")
	p.becomes(t, first, inWatch, "Live")
	p.focusOn(t, byRole("button", "Stop watching "+first))
	s.set(first, koodrivetest.StatusSuccess) // The focused button disappears. Its replacement must not be pressed by mistake.
	p.becomes(t, first, inWatch, "Finished")
	p.focusOn(t, byRole("link", first))

	p.tabTo(t, byRole("button", "Details of "+first))
	p.press(t, kb.Enter)
	p.sees(t, `document.activeElement.textContent === 'Task `+first+`'`)
	p.tabTo(t, byRole("list", "History of "+first))
	p.press(t, kb.Escape)
	p.focusOn(t, byRole("button", "Details of "+first))

	p.tabTo(t, byRole("button", "Remove "+second)) // It is above the third one.
	p.press(t, kb.Enter)
	p.sees(t, `!rowOf('`+second+`')`)
	p.focusOn(t, byRole("button", "Remove "+third))
	p.press(t, kb.Enter)
	p.focusOn(t, byRole("button", "Remove "+first))
	p.press(t, kb.Enter)
	p.focusOn(t, byRole("textbox", "Task ids"))
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
		{pageToken, "List", "ids", "“List” cannot be a task id"},
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
	p.becomes(t, id, inWatch, "Ended: ")
	p.details(t, id)
	const name = "CREDENTIAL_REJECTED"
	catalogue := reason.Catalogue()
	for _, language := range []string{reason.English, reason.Chinese, reason.English} {
		p.speak(t, language)
		p.sees(t, fmt.Sprintf(`document.querySelector('#failure').innerText.includes(%q)`, catalogue[language][name]))
		if row := p.text(t, "tbody tr"); !strings.Contains(row, catalogue[language][name]) {
			t.Errorf("in %s the row says %q", language, row)
		}
		says := p.text(t, "#failure")
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
	p.push(t, byRole("button", "Close"))
	p.unfold(t)
	p.enter(t, byRole("textbox", "KooDrive token"), pageToken)
	p.push(t, byRole("button", "Watch again: "+id))
	p.becomes(t, id, inWatch, "Live")
	p.becomes(t, id, inStatus, "EXECUTING")
	p.details(t, id)
	p.sees(t, `document.querySelector('#failure').hidden`)
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
	p.becomes(t, id, inStatus, "EXECUTING")
	p.keepsNothing(t)
	if at := eval[string](t, p, `location.href`); at != s.url {
		t.Errorf("it is at %s", at)
	}
	if html := eval[string](t, p, `document.documentElement.outerHTML`); strings.Contains(html, pageToken) {
		t.Errorf("it stands in the document: %s", html)
	}
	if asked := p.requested(`:watch\?taskIds=`); len(asked) == 0 {
		t.Error("no watch was requested")
	}
	if asked := p.requested(pageToken); len(asked) != 0 {
		t.Errorf("it asked for %q", asked)
	}
	eval[chromedp.Void](t, p, `location.reload()`)
	p.sees(t, `document.readyState === 'complete' && document.querySelectorAll('tbody tr').length === 0 && byRole('textbox', 'KooDrive token')?.value === ''`)
}

// All texts follow the language, whatever their origin.
func TestConsoleLanguages(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(4)
	p := openTab(t, s.url)
	defer p.judge(t)
	s.koodrive.RemoveTask(ids[3])
	p.watch(t, pageToken, ids...)
	for _, id := range ids[:3] {
		p.becomes(t, id, inStatus, "EXECUTING")
	}
	p.becomes(t, ids[3], inWatch, "Ended: ")
	s.set(ids[0], koodrivetest.StatusFailed)
	p.becomes(t, ids[0], inWatch, "Result ")
	p.push(t, byRole("button", "Stop watching "+ids[1]))
	p.details(t, ids[3])
	p.unfold(t)
	p.push(t, byRole("button", "Other credentials"))
	s.koodrive.SetFault(koodrivetest.Answer(503, ""))
	p.becomes(t, ids[2], inWatch, "Poll failed: ")

	// Everything with words, and the names of elements.
	const words = `[...document.querySelectorAll('[data-text], [data-said], #history li')].filter((e) => e.checkVisibility())
		.flatMap((e) => [e.textContent, e.ariaLabel].map((words) => ({ what: e.dataset.text ?? e.closest('[class]')?.className ?? e.id, words })))
		.filter(({ what, words }) => words !== null)`
	type said struct{ What, Words string }
	p.speak(t, reason.English)
	english := eval[[]said](t, p, words)
	p.speak(t, reason.Chinese)
	p.sees(t, `document.querySelector('tbody .note').textContent.match(/\p{Script=Han}/u)`) // It has been drawn.
	chinese := eval[[]said](t, p, words)
	if lang := eval[string](t, p, `document.documentElement.lang`); lang != reason.Chinese || len(english) < 60 || len(english) != len(chinese) {
		t.Fatalf("in %s it says %d texts, in English %d", lang, len(chinese), len(english))
	}
	asItIs := regexp.MustCompile(`^(\d+|[A-Z_]+ \([A-Z_]+\)|[a-z]+[A-Z][A-Za-z]+|[0-9a-f]{32}|\d+:\d+:\d+ [AP]M|[✓✗])$`) // Ids, numbers, names and times.
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
	p.enter(t, byRole("textbox", "KooDrive 令牌"), pageToken)
	p.enter(t, byRole("textbox", "任务 ID"), id)
	p.push(t, byRole("button", "开始监听"))
	p.becomes(t, id, "状态", "EXECUTING 执行中")
	for _, name := range []string{"监听任务", "停止监听 " + id, "移除 " + id, id + " 的详情"} {
		p.sees(t, byRole("button", name))
	}
	p.becomes(t, id, "监听", "实时")
}
