package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// change is line number n of a watch whose task is in a different unknown state each time.
func change(id string, n int) string {
	event := &taskv1.WatchTaskResponse{Event: &taskv1.WatchTaskResponse_Task{Task: &taskv1.Task{
		TaskId: id, ObserveTime: timestamppb.Now(), KoodriveStatus: new(int32(n)),
	}}}
	line, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(event)
	if err != nil {
		panic(err)
	}
	return string(line) + "\n"
}

// With a history of more than ten thousand lines the page stays usable: it keeps the newest ones, draws few, and responds to keys
// and clicks.
func TestConsoleTenThousandLines(t *testing.T) {
	t.Parallel()
	const id, kept, most = "1534087020903704801", 10_000, 12_000
	s := newSite(t, nil)
	more := make(chan int) // Up to which line.
	c := newCable(t, s.url)
	site := c.Config.Handler
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, ":watch") {
			site.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", ndjson)
		for n := 10; ; {
			select {
			case upTo := <-more:
				for ; n <= upTo; n++ {
					_, _ = io.WriteString(w, change(id, n))
				}
			case <-time.After(time.Second):
				_, _ = io.WriteString(w, change(id, n-1))
			case <-r.Context().Done():
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	})
	p := openTab(t, c.URL)
	defer p.judge(t)
	eval[chromedp.Void](t, p, `window.delays = []; addEventListener('keydown', (e) => requestAnimationFrame(() => delays.push(performance.now() - e.timeStamp)))`)
	p.watch(t, "any", id)
	newest := func(n int) {
		t.Helper()
		p.sees(t, fmt.Sprintf(`document.querySelector(%q).textContent.endsWith(': %d')`, card(id, ".state"), n))
	}
	more <- most
	newest(most)
	if summary := p.text(t, card(id, "summary")); !strings.Contains(summary, fmt.Sprint(kept)) {
		t.Errorf("the history is called %q", summary)
	}
	history := p.history(t, id)
	if len(history) != 100 || !strings.HasSuffix(history[99], fmt.Sprint(": ", most)) {
		t.Errorf("of the history, %d lines are shown, up to %q", len(history), history[len(history)-1])
	}
	p.click(t, card(id, ".older"))
	if history = p.history(t, id); len(history) != 200 || !strings.HasSuffix(history[0], fmt.Sprint(": ", most-199)) {
		t.Errorf("of the history, %d lines are shown, from %q", len(history), history[0])
	}

	// Keys are pressed while more lines come.
	p.delays(t, "before")
	p.fill(t, "#ids", "")
	for n := range 10 {
		more <- most + 100*(n+1)
		p.press(t, "a")
	}
	newest(most + 1000)
	if typed := eval[string](t, p, `document.querySelector('#ids').value`); typed != strings.Repeat("a", 10) {
		t.Errorf("the typed text is %q", typed)
	}
	if nodes := eval[int](t, p, `document.querySelectorAll('*').length`); nodes > 600 {
		t.Errorf("the document has %d elements", nodes)
	}
	p.delays(t, "200 lines drawn, while others come")

	for eval[bool](t, p, fmt.Sprintf(`!document.querySelector(%q).hidden`, card(id, ".older"))) {
		eval[chromedp.Void](t, p, fmt.Sprintf(`document.querySelector(%q).click()`, card(id, ".older")))
	}
	if history = p.history(t, id); len(history) != kept || !strings.HasSuffix(history[0], fmt.Sprint(": ", most+1000-kept+1)) {
		t.Errorf("of the history, %d lines are shown, from %q", len(history), history[0])
	}
	p.fill(t, "#ids", "bbb")
	p.delays(t, "all lines drawn")
	p.click(t, card(id, ".stop"))
	p.becomes(t, id, "connection", "stopped")
}

// delays logs the time from a key to the next frame. It is not judged, since it depends on the machine.
func (p *tab) delays(t *testing.T, when string) {
	t.Helper()
	p.sees(t, `delays.length > 0`)
	all := eval[[]float64](t, p, `delays.splice(0)`)
	slices.Sort(all)
	t.Logf("%s: from a key to the next frame at most %.0f ms, median %.0f of %d", when, all[len(all)-1], all[len(all)/2], len(all))
}

// A new line that is not drawn yet when older ones are requested does not duplicate any of them.
func TestConsoleHistoryHasNoLineTwice(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := openTab(t, s.url)
	defer p.judge(t)
	lines := eval[[]string](t, p, `(async () => {
		const { Timeline } = await import('/console/timeline.js');
		const details = document.getElementById('card').content.querySelector('.history').cloneNode(true);
		document.body.append(details);
		const timeline = new Timeline(details, '1');
		const drawn = (n) => new Promise((done) => {
			const look = () => details.querySelectorAll('li').length >= n ? done() : setTimeout(look);
			look();
		});
		for (let i = 0; i < 250; i++) timeline.add(i);
		details.open = true;
		await drawn(100);
		timeline.add(250);
		details.querySelector('.older').click();
		await drawn(200);
		return [...details.querySelectorAll('li')].map((li) => li.lastChild.textContent);
	})()`)
	if len(lines) != 200 {
		t.Errorf("%d lines are shown", len(lines))
	}
	for i, line := range lines {
		if line != fmt.Sprint(250-i) {
			t.Fatalf("the lines are %q", lines)
		}
	}
}
