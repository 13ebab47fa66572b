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
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// change is line number n of a watch whose task is in a different unknown state each time.
func change(id string, n int) string {
	return lineOf(&taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Task{Task: &taskv1.Task{
		TaskId: id, TaskName: "handover of a user's files", ObserveTime: timestamppb.Now(), KoodriveStatus: new(int32(n)),
	}}})
}

// With a history of more than ten thousand lines the page stays usable: it keeps the newest ones, draws few, and responds to keys
// and clicks.
func TestConsoleTenThousandLines(t *testing.T) {
	t.Parallel()
	const id, kept, most = "1534087020903704801", 10_000, 12_000
	s := newSite(t, nil)
	more := make(chan int) // Up to which line.
	c := newStub(t, s.url, func(w http.ResponseWriter, r *http.Request, _ []string) {
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
		p.becomes(t, id, inStatus, fmt.Sprint("Unlisted status: ", n))
	}
	more <- most
	newest(most)
	history := p.history(t, id)
	if title := p.text(t, "#history-title"); !strings.Contains(title, fmt.Sprint(kept)) {
		t.Errorf("the history is called %q", title)
	}
	if len(history) != 100 || !strings.HasSuffix(history[99], fmt.Sprint(": ", most)) {
		t.Errorf("of the history, %d lines are shown, up to %q", len(history), history[len(history)-1])
	}
	older := byRole("button", "Show older lines of "+id)
	p.push(t, older)
	p.sees(t, `document.querySelectorAll('#history li').length === 200`)
	if history = p.history(t, id); len(history) != 200 || !strings.HasSuffix(history[0], fmt.Sprint(": ", most-199)) {
		t.Errorf("of the history, %d lines are shown, from %q", len(history), history[0])
	}

	// Keys are pressed while more lines come.
	p.unfold(t)
	p.fill(t, "#ids", "")
	p.delays(t, "before")
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

	for eval[bool](t, p, `Boolean(`+older+`)`) {
		eval[chromedp.Void](t, p, older+`.click()`)
		p.sees(t, `document.querySelectorAll('#history li').length % 100 === 0`)
	}
	if history = p.history(t, id); len(history) != kept || !strings.HasSuffix(history[0], fmt.Sprint(": ", most+1000-kept+1)) {
		t.Errorf("of the history, %d lines are shown, from %q", len(history), history[0])
	}
	p.fill(t, "#ids", "bbb")
	p.delays(t, "all lines drawn")
	p.push(t, byRole("button", "Stop watching "+id))
	p.becomes(t, id, inWatch, "Stopped")
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
		const list = document.createElement('ol'), older = document.createElement('button');
		document.body.append(list, older);
		const lines = [];
		const add = () => lines.push({ time: new Date(), words: lines.length });
		const timeline = new Timeline(list, older, () => timeline.draw(lines));
		for (let i = 0; i < 250; i++) add();
		timeline.draw(lines);
		add();
		older.click();
		return [...list.querySelectorAll('li')].map((li) => li.lastChild.textContent);
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

// An interruption is announced with its cause. A bar shows the unlisted status that the task is in, and ends with
// a mark of its own.
func TestConsoleTasksWords(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := openTab(t, s.url)
	defer p.judge(t)
	got := eval[[]string](t, p, `(async () => {
		const [{ Task }, { Failure }, { write }, { Row }] = await Promise.all(['task', 'stream', 'text', 'row'].map((name) => import('/console/' + name + '.js')));
		const said = [], task = new Task('a', { changed() {}, announce: (words) => said.push(write(words)) });
		task.hear({ status: 'TASK_STATUS_UNSPECIFIED', koodriveStatus: 7 });
		task.hear({ status: 'TASK_STATUS_UNSPECIFIED', koodriveStatus: 8 });
		task.lose(new Failure('cut'), 1000);
		const got = [write(task.bar.map(({ words }) => words)), said.at(-1)];
		task.hear({ status: 'TASK_STATUS_UNSPECIFIED', koodriveStatus: 9, done: true });
		const row = new Row(task, {});
		row.draw(Date.now(), false);
		return [...got, row.element.querySelector('.bar').textContent];
	})()`)
	if want := []string{"Unlisted status: 8", "Task a: interrupted. The connection broke.", "?"}; !slices.Equal(got, want) {
		t.Errorf("it says %q, want %q", got, want)
	}
}
