package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// relay is between a page and its server, and counts the streams that have begun.
type relay struct {
	*cable
	mu     sync.Mutex               // Guards the following fields.
	lists  map[*http.Request]string // The ids of each stream that has begun and not ended.
	opened int                      // Streams that have begun.
	most   int                      // Streams at the same time, with those that have not begun.
	now    int
	fewest int // Tasks on a stream, at the worst moment since the last call of reset.
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	r := &relay{cable: newCable(t, to), lists: map[*http.Request]string{}}
	next := r.Config.Handler
	r.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path != "/v1/tasks:watch" {
			next.ServeHTTP(w, req)
			return
		}
		r.change(func() { r.now++ })
		defer r.change(func() {
			r.now--
			delete(r.lists, req)
		})
		next.ServeHTTP(&begins{w, func() {
			r.change(func() {
				r.lists[req] = strings.Join(req.URL.Query()["taskIds"], " ")
				r.opened++
			})
		}}, req)
	})
	return r
}

func (r *relay) change(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
	r.most, r.fewest = max(r.most, r.now), min(r.fewest, len(r.tasksLocked()))
}

func (r *relay) tasksLocked() map[string]bool {
	all := map[string]bool{}
	for list := range maps.Values(r.lists) {
		for id := range strings.FieldsSeq(list) {
			all[id] = true
		}
	}
	return all
}

// reset begins to look for the worst moment again, and returns the number of streams so far.
func (r *relay) reset() (opened int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fewest = len(r.tasksLocked())
	return r.opened
}

// watches returns the number of streams that go on, and waits until they are of so many tasks together.
func (r *relay) watches(t *testing.T, tasks int) (streams int) {
	t.Helper()
	await(t, nil, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		streams = r.now
		return len(r.tasksLocked()) == tasks && r.now == len(r.lists)
	})
	return streams
}

// begins calls begun before the header of an answer is written.
type begins struct {
	http.ResponseWriter
	begun func()
}

func (b *begins) WriteHeader(status int) {
	b.begun()
	b.ResponseWriter.WriteHeader(status)
}

func (b *begins) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// asked returns how often KooDrive was asked for a task.
func (s *site) asked(id string) (n int) {
	for _, r := range s.koodrive.Requests() {
		if r.TaskID == id {
			n++
		}
	}
	return n
}

// Over HTTP/1.1, a tab watches 60 tasks over one connection. A change of the list leaves no task without a stream, and
// costs KooDrive only the new task. A second tab and other requests find a connection.
func TestConsoleManyTasks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, "--poll-min=5m", "--poll-max=5m", "--poll-backoff-max=5m", "--stale-after=10m") // Each task is polled once, unless it is asked for again.
	ids := s.setMany(121)
	first, others, added := ids[:60], ids[60:120], ids[120]
	r := newRelay(t, s.url)
	p := openTab(t, r.URL)
	defer p.judge(t)
	p.watch(t, pageToken, first...)
	p.sees(t, `[...document.querySelectorAll('tbody tr')].filter((row) => cellOf(row.querySelector('a').textContent, 'Watch') === 'Live').length === 60`)
	for _, id := range first {
		p.becomes(t, id, inStatus, "EXECUTING")
	}
	if n := r.watches(t, 60); n != 1 {
		t.Errorf("60 tasks take %d streams", n)
	}
	opened, before := r.reset(), s.koodrive.Count()
	// The page notes if a row is not live.
	eval[chromedp.Void](t, p, `window.worst = 60; new MutationObserver(() => {
		worst = Math.min(worst, [...document.querySelectorAll('tbody .note')].filter((note) => note.textContent === 'Live').length);
	}).observe(document.querySelector('tbody'), { subtree: true, childList: true, characterData: true })`)
	p.watch(t, pageToken, added)
	p.becomes(t, added, inWatch, "Live")
	p.becomes(t, added, inStatus, "EXECUTING")
	if n := r.watches(t, 61); n != 1 || r.reset() != opened+1 {
		t.Errorf("61 tasks take %d streams, after %d", n, r.opened)
	}
	if n := s.koodrive.Count() - before; n != 1 {
		t.Errorf("another task costs KooDrive %d requests", n)
	}
	if n := eval[int](t, p, `worst`); n < 60 || r.fewest < 60 {
		t.Errorf("meanwhile %d rows are live, and %d tasks have a stream", n, r.fewest)
	}

	second := p.another(t, r.URL)
	second.watch(t, pageToken, others...)
	second.sees(t, `byRole('button', 'Watching 60') && [...document.querySelectorAll('tbody .note')].filter((note) => note.textContent === 'Live').length === 60`)
	if n := r.watches(t, 121); n != 2 {
		t.Errorf("two tabs take %d streams", n)
	}
	if answer := eval[int](t, second, `fetch('/openapi.json').then((answer) => answer.status)`); answer != http.StatusOK {
		t.Errorf("beside the streams, a request gets %d", answer)
	}

	// What happens together changes the streams once.
	opened = r.reset()
	eval[chromedp.Void](t, second, `for (const id of ["`+strings.Join(others[:3], `", "`)+`"]) byRole('button', 'Stop watching ' + id).click()`)
	if n := r.watches(t, 118); n != 2 || r.fewest < 118 {
		t.Errorf("after a stop there are %d streams, and meanwhile %d tasks had one", n, r.fewest)
	}
	if n := r.reset() - opened; n != 1 {
		t.Errorf("three stops take %d streams", n)
	}
	if r.most > 3 {
		t.Errorf("two tabs had %d streams at the same time", r.most)
	}
}

// A stopped task is not polled any more, and the others are.
func TestConsoleStoppedTask(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(4)
	ids, added := ids[:3], ids[3]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.watch(t, pageToken, ids...)
	for _, id := range ids {
		p.becomes(t, id, inStatus, "EXECUTING")
	}
	p.push(t, byRole("button", "Stop watching "+ids[0]))
	p.becomes(t, ids[0], inWatch, "Stopped")
	p.watch(t, pageToken, added) // Its stream does not have the stopped task, and the old one has been left when it is polled.
	s.polled(t, added)
	before, polled := s.asked(ids[0]), s.asked(added)
	await(t, nil, func() bool { return s.asked(added) >= polled+10 })
	if n := s.asked(ids[0]); n > before+1 { // One request may have been in flight.
		t.Fatalf("after the stop KooDrive was asked %d times", n-before)
	}

	// Its stream has not changed yet when this one is watched again.
	eval[chromedp.Void](t, p, fmt.Sprintf(`for (const button of ['stop', 'again']) rowOf(%q).querySelector('.' + button).click()`, ids[1]))
	p.becomes(t, ids[1], inWatch, "Live")
	p.becomes(t, ids[1], inStatus, "EXECUTING")
}

// The row of a task that KooDrive does not answer says so, in both languages, and the others do not.
func TestConsoleFailingTask(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(50)
	failing := ids[7]
	p := openTab(t, s.url)
	defer p.judge(t)
	p.watch(t, pageToken, ids...)
	for _, id := range ids {
		p.becomes(t, id, inStatus, "EXECUTING")
	}
	s.koodrive.SetTask(koodrivetest.Task{ID: failing, Steps: []koodrivetest.Step{{Fault: koodrivetest.Answer(http.StatusBadGateway, "")}}})
	p.becomes(t, failing, inWatch, "Poll failed: KooDrive")
	p.sees(t, byRole("button", "Problems 1"))
	for _, id := range slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == failing }) {
		if says := p.cell(t, id, inWatch); says != "Live" {
			t.Errorf("%s says %q", id, says)
		}
	}
	p.speak(t, "zh-CN")
	p.becomes(t, failing, "监听", "查询失败：KooDrive")
	p.speak(t, "en-US")

	for i, id := range ids[10:40] {
		s.set(id, []int64{koodrivetest.StatusSuccess, koodrivetest.StatusFailed, koodrivetest.StatusExecuting}[i%3])
	}
	p.sees(t, byRole("button", "Failed 10"))
	p.becomes(t, ids[0], inWatch, "Live")
	const inView = `[...document.querySelectorAll('tbody tr')].filter((row) => { const box = row.getBoundingClientRect(); return box.top >= 0 && box.bottom <= 900; }).length`
	if n := eval[int](t, p, inView); n < 30 {
		t.Errorf("%d rows are in view", n)
	}
	const small = `[...document.querySelectorAll('button, select, input, summary, tbody a')].filter((e) => e.checkVisibility())
		.map((e) => ({ what: e.innerText, box: (e.type === 'checkbox' ? e.labels[0] : e).getBoundingClientRect() })).filter(({ box }) => box.height < 24 || box.width < 24).map(({ what, box }) => what + ': ' + box.height)`
	if controls := eval[[]string](t, p, small); len(controls) > 0 {
		t.Errorf("these controls are too small: %q", controls)
	}
	p.looksAlike(t, "50-tasks")
}

// The rows can be filtered and sorted. The focus stays where it is meanwhile.
func TestConsoleFindsTasks(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	ids := s.setMany(4)
	s.set(ids[1], koodrivetest.StatusSuccess)
	s.set(ids[2], koodrivetest.StatusNew)
	p := openTab(t, s.url)
	defer p.judge(t)
	p.watch(t, pageToken, ids...)
	order := func(want ...string) {
		t.Helper()
		p.sees(t, fmt.Sprintf(`[...document.querySelectorAll('tbody a')].map((link) => link.textContent).join() === %q`, strings.Join(want, ",")))
	}
	p.becomes(t, ids[1], inWatch, "Finished")
	p.push(t, byRole("button", "Status"))
	order(ids[2], ids[0], ids[3], ids[1])
	p.sees(t, `document.querySelector('[aria-sort=ascending]').innerText === 'Status'`)
	eval[chromedp.Void](t, p, byRole("button", "Details of "+ids[3])+`.focus()`)
	s.set(ids[3], koodrivetest.StatusFailed)
	s.set(ids[2], koodrivetest.StatusSuccess)
	order(ids[0], ids[3], ids[1], ids[2])
	p.focusOn(t, byRole("button", "Details of "+ids[3]))
	p.push(t, byRole("button", "Task id"))
	p.push(t, byRole("button", "Task id"))
	order(ids[3], ids[2], ids[1], ids[0])
	p.push(t, byRole("button", "Succeeded 2"))
	order(ids[2], ids[1])
	p.enter(t, byRole("searchbox", "Filter"), ids[1][12:])
	order(ids[1])
	p.enter(t, byRole("searchbox", "Filter"), "no such task")
	p.sees(t, `document.body.innerText.includes('No task matches the filter.')`)
}
