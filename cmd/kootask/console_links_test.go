package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// A link opens a list, and has no credential. Each row links to its task.
func TestConsoleLinks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(3)
	p := openTab(t, s.url+"#ids="+ids[0]+","+ids[1])
	defer p.judge(t)
	p.focusOn(t, byRole("textbox", "KooDrive token"))
	p.sees(t, fmt.Sprintf(`%s.value === "%s\n%s"`, byRole("textbox", "Task ids"), ids[0], ids[1]))
	p.press(t, pageToken)
	p.push(t, byRole("button", "Watch"))
	p.becomes(t, ids[0], inStatus, "EXECUTING")
	p.sees(t, `!document.querySelector('#add').open`)

	p.watch(t, pageToken, ids[2])
	p.becomes(t, ids[2], inStatus, "EXECUTING")
	p.sees(t, byRole("link", "Link to this list")+`.getAttribute('href') === '#ids=`+strings.Join([]string{ids[2], ids[0], ids[1]}, ",")+`'`)
	p.push(t, byRole("link", ids[1]))
	p.sees(t, byRole("region", "Task "+ids[1]))
	if at := eval[string](t, p, `location.href`); at != s.url+"#ids="+ids[1] {
		t.Errorf("the task is at %s", at)
	}
	p.push(t, byRole("link", "Link to this list"))
	if at := eval[string](t, p, `location.href + [...document.links].map((link) => link.href).join()`); strings.Contains(at, pageToken) {
		t.Errorf("the token is in the links %s", at)
	}
	eval[chromedp.Void](t, p, `location.hash = '#ids=`+ids[0]+`,4'`) // The task that is not in the list is offered.
	p.sees(t, byRole("textbox", "Task ids")+`.value === '4'`)
	if n := s.asked("4"); n > 0 {
		t.Error("a link alone asks KooDrive")
	}
}

// A demonstration offers its token and its tasks on the page.
func TestConsoleOfADemonstration(t *testing.T) {
	t.Parallel()
	demo := start(t, nil, "demo", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0")
	p := openTab(t, demo.says(t, `HTTP +(http://[^ \n]+)`)+"/")
	defer p.judge(t)
	p.sees(t, `document.body.innerText.includes('Its credential is demo-alice.')`)
	p.push(t, byRole("button", "Watch the demo’s tasks"))
	for _, scene := range scenes {
		p.becomes(t, scene.id, inWatch, "")
	}
	p.becomes(t, koodrivetest.Example().ID, inStatus, "FAILED")
	p.becomes(t, "1534087020903704712", inStatus, "SUCCESS")
	p.becomes(t, "1534087020903704717", inStatus, "Unlisted status: 7")
	p.pose(t, "demo", func(shot string) { p.shoot(t, shot, false) })
}

// The tab shows when all tasks have finished, and a notification if the user has asked for one.
func TestConsoleFinish(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(9)
	p := openTab(t, s.url)
	defer p.judge(t)
	eval[chromedp.Void](t, p, `window.notified = []; window.Notification = class { constructor(title, { body }) { notified.push(body); } static requestPermission() { return Promise.resolve(window.allowed); } }`)
	const icon = `document.querySelector('link[rel=icon]').href`
	before := eval[string](t, p, icon)
	watch := func(ids []string) {
		t.Helper()
		p.watch(t, pageToken, ids...)
		for _, id := range ids {
			p.becomes(t, id, inStatus, "EXECUTING")
		}
		if now := eval[string](t, p, icon); now != before {
			t.Errorf("while tasks are watched, the icon is %s", now)
		}
	}
	finish := func(good, bad, title string) {
		t.Helper()
		s.set(good, koodrivetest.StatusSuccess)
		p.becomes(t, good, inWatch, "Finished")
		s.set(bad, koodrivetest.StatusFailed)
		p.sees(t, fmt.Sprintf(`document.title === %q`, title))
		if now := eval[string](t, p, icon); now == before {
			t.Errorf("with finished tasks, the icon is %s", now)
		}
	}
	watch(ids[:2])
	finish(ids[0], ids[1], "✓ 1 ✗ 1 kootask")
	if n := eval[int](t, p, `notified.length`); n != 0 {
		t.Errorf("nobody asked for %d notifications", n)
	}
	watch(ids[2:4])
	notify := byRole("checkbox", "Notify me at the end")
	p.push(t, notify)
	p.sees(t, `!document.querySelector('#notify').checked && document.body.innerText.includes('Your browser does not allow notifications from this page')`)
	eval[chromedp.Void](t, p, `window.allowed = 'granted'`)
	p.push(t, byRole("checkbox", "Your browser does not allow notifications from this page"))
	p.sees(t, notify+`?.checked`)
	finish(ids[2], ids[3], "✓ 2 ✗ 2 kootask")
	p.sees(t, `notified.join() === 'Succeeded: 2. Failed: 2. Ended with an unlisted status: 0. Watches with an error: 0.'`)

	// A stopped task has not finished. The others have, and the notification says so.
	watch(ids[4:7])
	p.push(t, byRole("button", "Stop watching "+ids[6]))
	p.becomes(t, ids[6], inWatch, "Stopped")
	s.set(ids[4], koodrivetest.StatusSuccess)
	s.set(ids[5], koodrivetest.StatusSuccess)
	p.sees(t, `notified[1] === 'Succeeded: 4. Failed: 2. Ended with an unlisted status: 0. Watches with an error: 0.'`)
	unfinished := func() {
		t.Helper()
		p.sees(t, `document.title === 'kootask'`)
		if now := eval[string](t, p, icon); now != before {
			t.Errorf("with a stopped task, the icon is %s", now)
		}
	}
	unfinished()
	watch(ids[7:8])
	p.push(t, byRole("button", "Stop all"))
	unfinished()
	if n := eval[int](t, p, `notified.length`); n != 2 {
		t.Errorf("there are %d notifications", n)
	}

	// Chrome on Android has no such notifications.
	watch(ids[8:])
	eval[chromedp.Void](t, p, `window.Notification = class { constructor() { throw new TypeError('Illegal constructor'); } }`)
	s.set(ids[8], koodrivetest.StatusSuccess)
	p.sees(t, byRole("checkbox", "Your browser does not allow notifications from this page")+`?.checked === false`)

	// An unlisted final status is neither a success nor a failure.
	title := eval[string](t, p, `import('/console/finish.js').then(({ show }) => {
		show([{ runs: false, data: { done: true }, state: 'other', connection: 'ended' }]);
		return document.title;
	})`)
	if title != "? 1 kootask" {
		t.Errorf("the title is %q", title)
	}
}
