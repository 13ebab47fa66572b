package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// Three tasks at once: one succeeds, one fails, and one loses its connection, which recovers by itself.
func TestConsoleFollowsTasks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := newCable(t, s.url)
	const good, bad, interrupted = "1534087020903704801", "1534087020903704802", "1534087020903704803"
	for _, id := range []string{good, bad, interrupted} {
		s.set(id, koodrivetest.StatusNew)
	}
	p := openTab(t, c.URL)
	defer p.judge(t)
	p.looks(t, "empty")
	p.watch(t, pageToken, good, bad, interrupted)
	for _, id := range []string{good, bad, interrupted} {
		p.becomes(t, id, inStatus, "NEW")
		p.becomes(t, id, inWatch, "Live")
	}
	for _, id := range []string{good, bad} {
		s.set(id, koodrivetest.StatusExecuting)
		p.becomes(t, id, inStatus, "EXECUTING")
	}
	p.sees(t, `document.title === '(3) kootask'`)
	s.set(good, koodrivetest.StatusSuccess)
	s.set(bad, koodrivetest.StatusFailed)
	p.becomes(t, good, inStatus, "SUCCESS")
	p.becomes(t, bad, inStatus, "FAILED")
	p.becomes(t, good, inWatch, "Finished")
	p.becomes(t, bad, inWatch, "Result 18000205")
	if details := p.details(t, bad); !strings.Contains(details, "18000205") {
		t.Errorf("the failed task says %q", details)
	}
	if group := byRole("button", "Problems 0"); !eval[bool](t, p, `Boolean(`+group+`)`) {
		t.Error("a failed task counts as a problem of its watch")
	}

	p.expects(`^log: network: Failed to load resource: .*` + interrupted)
	c.cut()
	p.becomes(t, interrupted, inWatch, "Interrupted. Retrying in ")
	s.set(interrupted, koodrivetest.StatusExecuting)
	p.history(t, bad)
	p.looks(t, "3-tasks")
	c.restore()
	p.becomes(t, interrupted, inWatch, "Live")
	p.becomes(t, interrupted, inStatus, "EXECUTING")
	s.set(interrupted, koodrivetest.StatusSuccess)
	p.becomes(t, interrupted, inWatch, "Finished")

	begun, running := []string{"Watch started", "NEW"}, "EXECUTING"
	for id, want := range map[string][]string{
		good: slices.Concat(begun, []string{running, "SUCCESS"}), bad: slices.Concat(begun, []string{running, "FAILED"}),
	} {
		if got := p.history(t, id); !slices.Equal(got, want) {
			t.Errorf("the history of %s is %q, want %q", id, got, want)
		}
	}
	history := p.history(t, interrupted)
	told := slices.DeleteFunc(slices.Clone(history), func(line string) bool { return strings.HasPrefix(line, "Interrupted: ") })
	if !slices.Equal(told, slices.Concat(begun, []string{"Live again", running, "SUCCESS"})) || !strings.HasPrefix(history[2], "Interrupted: ") {
		t.Errorf("the history of %s is %q", interrupted, history)
	}
	for _, total := range []string{"All 3", "Watching 0", "Succeeded 2", "Failed 1", "Problems 0", "Stopped 0"} {
		p.sees(t, byRole("button", total))
	}
}

// "Stop all" stops every watch.
func TestConsoleStopsAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(15)
	ids, later := ids[:14], ids[14]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.watch(t, pageToken, ids...)
	for _, id := range ids {
		p.becomes(t, id, inStatus, "EXECUTING")
	}
	p.push(t, byRole("button", "Stop all"))
	for _, id := range ids {
		p.becomes(t, id, inWatch, "Stopped")
	}
	s.settles(t)
	asked := s.koodrive.Count()
	if title := eval[string](t, p, `document.title`); title != "kootask" {
		t.Errorf("the title is %q", title)
	}
	p.watch(t, pageToken, later) // Streams are begun in the order of their tasks.
	s.polled(t, later)
	for _, r := range s.koodrive.Requests()[asked:] {
		if r.TaskID != later {
			t.Errorf("KooDrive was polled for %s", r.TaskID)
		}
	}
}

// Closing a tab ends the polling of its tasks within a second. The test is not parallel: other tests would slow it down.
func TestConsoleClosedTab(t *testing.T) {
	s := newSite(t, nil)
	ids := s.setMany(4)
	ids, later := ids[:3], ids[3]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.watch(t, pageToken, ids...)
	for _, id := range ids {
		p.becomes(t, id, inStatus, "EXECUTING")
		p.becomes(t, id, inWatch, "Live")
	}
	await(t, nil, func() bool { return s.koodrive.Count() > 20 })
	p.close(t)
	resp, err := http.Get(s.upstream + "/closed") // By KooDrive's clock.
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	s.settles(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"v1/tasks/"+later+":watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+pageToken)
	if resp, err = http.DefaultClient.Do(r); err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	s.polled(t, later)
	log := s.koodrive.Requests()
	at := slices.IndexFunc(log, func(r koodrivetest.Request) bool { return r.Path == "/closed" })
	last := log[at]
	for _, r := range log[at:] {
		if slices.Contains(ids, r.TaskID) {
			last = r
		}
	}
	after := last.Received.Sub(log[at].Received)
	t.Logf("KooDrive's last request came %v after the tab was closed", after)
	if after > time.Second {
		t.Errorf("KooDrive was still polled after %v", after)
	}
}

// Leaving the page ends its watches, even if the browser keeps the page for the back button. On return the token field is empty.
func TestConsoleLeftPage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	id := s.setMany(1)[0]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.watch(t, pageToken, id)
	p.becomes(t, id, inStatus, "EXECUTING")
	p.do(t, chromedp.Navigate(s.url+"docs"))
	s.settles(t)
	p.do(t, chromedp.NavigateBack())
	p.sees(t, `document.readyState === 'complete' && byRole('textbox', 'KooDrive token')?.value === '' && document.querySelectorAll('tbody tr').length === 0`)
	if n := s.admin.number(t, "/metrics", "^kootask_watchers"); n != 0 {
		t.Errorf("%v watch on", n)
	}
}

// A hidden tab goes on, and its title reports the changes.
func TestConsoleHiddenTab(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(2)
	p := openTab(t, s.url)
	defer p.judge(t)
	p.watch(t, pageToken, ids...)
	for _, id := range ids {
		p.becomes(t, id, inStatus, "EXECUTING")
	}
	if _, err := chromedp.CallBrowser(p.ctx, target.CreateTarget, target.CreateTargetParams{URL: "about:blank"}); err != nil {
		t.Fatal(err)
	}
	p.sees(t, `document.visibilityState === 'hidden' && document.title === '(2) kootask'`)
	for i, id := range ids {
		s.set(id, koodrivetest.StatusSuccess)
		p.sees(t, fmt.Sprintf(`document.title === %q`, []string{"(1) kootask", "✓ 2 kootask"}[i]))
	}
}
