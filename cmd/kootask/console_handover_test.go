package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// timers notes the long timers of a page that are pending, and the delays of all timers in ms.
const timers = `{
	const set = setTimeout, clear = clearTimeout;
	window.long = new Set();
	window.delays = [];
	window.setTimeout = (f, ms) => { const id = set(f, ms); delays.push(ms); if (ms > 90_000) long.add(id); return id; };
	window.clearTimeout = (id) => { long.delete(id); clear(id); };
}`

// openTimed opens a page that notes its timers.
func openTimed(t *testing.T, url string) *tab {
	t.Helper()
	return openTab(t, url, command(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: timers}))
}

// A stream that goes on keeps its tasks though a new one is refused, until it ends itself.
func TestConsoleRefusedHandover(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c, streams := s.play(t)
	p := openTimed(t, c.URL)
	defer p.judge(t)
	p.expects(`^log: network: .* 500 .*tasks:watch`)
	p.expects(`^log: network: .* 503 .*tasks:watch`)
	p.watch(t, "any", "a", "b", "c")
	first := p.next(t, streams, "a", "b", "c")
	first.begins()
	p.becomes(t, "c", inWatch, "Live")
	p.push(t, byRole("button", "Stop watching c"))
	p.next(t, streams, "a", "b").refuses(http.StatusInternalServerError, "SERVER_MISCONFIGURED", 0)
	second := p.next(t, streams, "a", "b")
	if !eval[bool](t, p, `delays.some((ms) => ms >= 800 && ms < 2000)`) {
		t.Error("the page tries again at once")
	}
	select {
	case <-first.gone:
		t.Fatal("the page has left the first stream")
	default:
	}
	second.begins()
	<-first.gone
	if got := p.history(t, "a"); !slices.Equal(got, []string{"Watch started", "EXECUTING"}) {
		t.Errorf("the history is %q", got)
	}

	// An added task has no stream but the refused one.
	p.watch(t, "any", "d")
	p.next(t, streams, "a", "b", "d").refuses(http.StatusInternalServerError, "SERVER_MISCONFIGURED", 0)
	p.becomes(t, "d", inWatch, "Ended: ")
	if says := p.cell(t, "a", inWatch); says != "Live" {
		t.Errorf("the task of the other stream says %q", says)
	}

	p.push(t, byRole("button", "Remove d"))
	p.sees(t, `!rowOf('d')`)
	p.push(t, byRole("button", "Stop watching b"))
	p.next(t, streams, "a").refuses(http.StatusServiceUnavailable, "SERVER_OVERLOADED", time.Hour)
	p.sees(t, `long.size === 1`)
	second.fails("CREDENTIAL_REJECTED", 0)
	p.becomes(t, "a", inWatch, "Ended: ")
	if says := p.details(t, "a"); !strings.Contains(says, "CREDENTIAL_REJECTED") {
		t.Errorf("it says %q", says)
	}
}

// A stream that ends because the caller's token was renewed leaves its tasks to the one that is about to begin with the new token.
func TestConsoleRenewedTokenAndAddedTask(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c, streams := s.play(t)
	p := openTab(t, c.URL)
	defer p.judge(t)
	p.expects(`^log: network: .* 503 .*tasks:watch`)
	p.push(t, byRole("button", "Other credentials"))
	token := byRole("textbox", "Your token for kootask")
	p.enter(t, token, "old")
	p.watch(t, "any", "a", "b")
	first := p.next(t, streams, "a", "b")
	first.begins()
	p.becomes(t, "b", inWatch, "Live")
	p.unfold(t)
	p.enter(t, token, "new")
	p.watch(t, "any", "b", "c") // The watch of b has the new token already.
	second := p.next(t, streams, "a", "b", "c")
	if first.caller != "Bearer old" || second.caller != "Bearer new" {
		t.Errorf("the tokens are %q and %q", first.caller, second.caller)
	}
	first.fails("CALLER_UNAUTHENTICATED", 0)
	for _, id := range []string{"a", "b", "c"} {
		p.becomes(t, id, inWatch, "Connecting …")
	}
	second.begins()
	for _, id := range []string{"a", "b", "c"} {
		p.becomes(t, id, inWatch, "Live")
	}

	// A stream that was refused meanwhile does not keep its predecessor from resuming with a newer token.
	p.watch(t, "any", "d")
	p.next(t, streams, "a", "b", "c", "d").refuses(http.StatusServiceUnavailable, "SERVER_OVERLOADED", time.Hour)
	p.becomes(t, "d", inWatch, "Interrupted. Retrying in ")
	p.unfold(t)
	p.enter(t, token, "newer")
	second.fails("CALLER_UNAUTHENTICATED", 0)
	if third := p.next(t, streams, "a", "b", "c", "d"); third.caller != "Bearer newer" {
		t.Errorf("the token is %q", third.caller)
	}
}

// A lane has one delay, the latest. A task that is added meanwhile shows its cause.
func TestConsoleDelaysOfALane(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c, streams := s.play(t)
	p := openTimed(t, c.URL)
	defer p.judge(t)
	p.expects(`^log: network: .* 503 .*tasks:watch`)
	p.watch(t, "any", "a")
	first := p.next(t, streams, "a")
	p.becomes(t, "a", inWatch, "Connecting …")
	first.begins()
	p.becomes(t, "a", inWatch, "Live")
	p.watch(t, "any", "b")
	p.next(t, streams, "a", "b").refuses(http.StatusServiceUnavailable, "SERVER_OVERLOADED", 20*time.Minute)
	p.becomes(t, "b", inWatch, "Interrupted. Retrying in ")
	p.becomes(t, "a", inWatch, "Live")
	first.fails("SERVER_OVERLOADED", time.Hour)
	p.becomes(t, "a", inWatch, "Interrupted. Retrying in ")
	if n := eval[int](t, p, `long.size`); n != 1 {
		t.Errorf("the lane has %d delays", n)
	}
	eval[chromedp.Void](t, p, `window.seen = []; new MutationObserver(() => seen.push(cellOf('c', 'Watch'))).observe(document.querySelector('tbody'), { subtree: true, childList: true, characterData: true })`)
	p.watch(t, "any", "c")
	p.becomes(t, "c", inWatch, "Interrupted. Retrying in 3")
	if seen := eval[[]string](t, p, `seen`); slices.ContainsFunc(seen, func(says string) bool { return strings.HasPrefix(says, "Waiting") }) {
		t.Errorf("a task with a place in a lane says %q", seen)
	}
	p.push(t, byRole("button", "Stop all"))
	p.sees(t, `long.size === 0`)
}

// While the page connects again, the row still says why, and the task is a problem until it has a stream.
func TestConsoleKeepsTheReason(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c, streams := s.play(t)
	p := openTab(t, c.URL)
	defer p.judge(t)
	p.watch(t, "any", "a", "b")
	first := p.next(t, streams, "a", "b")
	first.begins()
	p.becomes(t, "a", inWatch, "Live")
	first.ends()
	second := p.next(t, streams, "a", "b")
	p.becomes(t, "a", inWatch, "Connecting again … The connection broke.")
	p.sees(t, byRole("button", "Problems 2"))
	p.push(t, byRole("button", "Stop watching b"))
	p.sees(t, byRole("button", "Problems 1"))
	second.begins()
	p.becomes(t, "a", inWatch, "Live")
	p.sees(t, byRole("button", "Problems 0"))
	if got := p.history(t, "a"); !slices.Equal(got, []string{"Watch started", "EXECUTING", "Interrupted: The connection broke.", "Live again"}) {
		t.Errorf("the history is %q", got)
	}
}

// Pages gather the tasks that they watch again at different moments.
func TestConsoleGathersAtItsOwnTime(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	script := command(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: `Math.random = () => 0.5`})
	p := openTab(t, s.url, script)
	defer p.judge(t)
	delays := eval[[]int](t, p, `(async () => {
		const { Watches } = await import('/console/watches.js');
		const { now } = Date, watches = new Watches(4, 10_000), delays = [];
		Date.now = () => 1_000_000;
		for (const retryAfter of [1000, 2000, 2501]) {
			const task = { drops: 0, lose: (failure, ms) => delays.push(ms) };
			watches.drop(task, { retryAfter });
			clearTimeout(task.again);
		}
		Date.now = now;
		return delays;
	})()`)
	if want := []int{2500, 2500, 7500}; !slices.Equal(delays, want) {
		t.Errorf("the delays are %d, want %d", delays, want)
	}
}
