package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// frames counts the frames in which the page draws its list, and the times that it does so. It measures the time of each draw.
const frames = `
	window.drawn = { frames: new Map(), durations: [] };
	const inFrame = requestAnimationFrame;
	window.requestAnimationFrame = (draw) => inFrame((time) => {
		const begin = performance.now();
		draw(time);
		drawn.durations.push(performance.now() - begin);
	});
	addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
		const frame = document.timeline.currentTime;
		drawn.frames.set(frame, (drawn.frames.get(frame) ?? 0) + 1);
	}).observe(document.querySelector('table'), { subtree: true, childList: true, characterData: true, attributes: true }));`

// With 1,000 tasks that change all the time, the document has at most 100 rows, and the page draws at most once a frame. Over
// HTTP/1.1, 400 tasks are watched at a time: the others wait for their turn, which comes.
func TestConsoleThousandTasks(t *testing.T) {
	t.Parallel()
	const many, changes = 1000, 50 // Tasks, and changes in a second.
	s := newSite(t, nil)
	var streams, most, sent atomic.Int64
	c := newStub(t, s.url, func(w http.ResponseWriter, r *http.Request, ids []string) {
		most.Store(max(most.Load(), streams.Add(1)))
		defer streams.Add(-1)
		w.Header().Set("Content-Type", ndjson)
		for _, id := range ids {
			_, _ = io.WriteString(w, line(id, taskv1.TaskStatus_TASK_STATUS_EXECUTING, 0))
		}
		for n := 0; ; n++ {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(time.Second / (changes / 4)):
				_, _ = io.WriteString(w, change(ids[n%len(ids)], n+10))
				sent.Add(1)
			case <-r.Context().Done():
				return
			}
		}
	})
	script := command(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: frames})
	p := openTab(t, c.URL, script)
	defer p.judge(t)
	ids := s.names(many)
	p.watch(t, "any", ids...)
	p.sees(t, byRole("button", "All 1000"))
	p.becomes(t, ids[0], inWatch, "Live")
	p.looksAlike(t, "1000-tasks")
	eval[chromedp.Void](t, p, `drawn.frames.clear(); drawn.durations = []`) // A change of the language is drawn at once.
	await(t, nil, func() bool { return sent.Load() > 500 })
	p.sees(t, `drawn.frames.size > 20`)
	if twice := eval[int](t, p, `[...drawn.frames.values()].filter((n) => n > 1).length`); twice > 0 {
		t.Errorf("the list is drawn more than once in %d frames", twice)
	}
	durations := eval[[]float64](t, p, `drawn.durations`)
	slices.Sort(durations)
	t.Logf("%d draws: median %.1f ms, longest %.1f ms", len(durations), durations[len(durations)/2], durations[len(durations)-1])
	if rows := eval[int](t, p, `document.querySelectorAll('tbody [role=row]').length`); rows != 100 {
		t.Errorf("the document has %d rows", rows)
	}
	if n := most.Load(); n > 5 { // Four, and one that takes over.
		t.Errorf("the page had %d streams", n)
	}

	p.enter(t, byRole("searchbox", "Filter"), ids[many-1])
	p.becomes(t, ids[many-1], inWatch, "Waiting for a turn: 400 tasks are watched at a time.")
	p.becomes(t, ids[many-1], inWatch, "Live")
	p.enter(t, byRole("searchbox", "Filter"), "")
	p.push(t, byRole("button", "Next"))
	p.sees(t, `document.body.innerText.includes('101 to 200 of 1000') && rowOf('`+ids[100]+`') && !rowOf('`+ids[0]+`')`)
	p.push(t, byRole("button", "Stop all"))
	await(t, nil, func() bool { return streams.Load() == 0 })
}

// names are ids of tasks that KooDrive need not have.
func (s *site) names(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(1534087020903704800+i))
	}
	return ids
}

// dropped is the line with which a stream drops a task. Without a delay, it is not watched again.
func dropped(id string, code int32, reason string, delay time.Duration) string {
	task := &taskv1.DroppedTask{TaskId: id, Code: code, Reason: reason, Message: "No."}
	if delay > 0 {
		task.RetryDelay = durationpb.New(delay)
	}
	return lineOf(&taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Dropped{Dropped: task}})
}

// The states of a task never go back or repeat, whatever stream they come over, and each task ends once. A dropped task says
// when it is watched again, and is, over a stream of its own; one that is dropped for good says why.
func TestConsoleResumes(t *testing.T) {
	t.Parallel()
	const executing, created, success = taskv1.TaskStatus_TASK_STATUS_EXECUTING, taskv1.TaskStatus_TASK_STATUS_NEW, taskv1.TaskStatus_TASK_STATUS_SUCCESS
	const repeats, later, gone, steady = "repeats", "dropped-for-a-while", "dropped-for-good", "steady"
	s := newSite(t, nil)
	lists := make(chan []string, 10)
	resumed := make(chan struct{}) // The dropped task is watched again. The first stream then breaks.
	beat := lineOf(&taskv1.WatchTasksResponse{Event: &taskv1.WatchTasksResponse_Heartbeat{Heartbeat: &taskv1.Heartbeat{ObserveTime: timestamppb.Now()}}})
	c := newStub(t, s.url, func(w http.ResponseWriter, r *http.Request, ids []string) {
		slices.Sort(ids)
		lists <- ids
		w.Header().Set("Content-Type", ndjson)
		lines := map[string]string{
			repeats: line(repeats, executing, 0) + line(repeats, created, 0) + line(repeats, executing, 0),
			later:   dropped(later, 14, "UPSTREAM_STALE", 2*time.Second),
			gone:    dropped(gone, 5, "TASK_NOT_FOUND", 0),
			steady:  line(steady, executing, 0),
		}
		breaks := resumed
		switch {
		case slices.Equal(ids, []string{later}):
			lines[later] = line(later, success, 0) + line(later, executing, 0)
			close(resumed)
		case slices.Equal(ids, []string{repeats, steady}):
			breaks = nil
			lines[repeats] = line(repeats, created, 0) + line(repeats, success, 0) + line(repeats, success, 0)
		}
		for _, id := range ids {
			_, _ = io.WriteString(w, lines[id])
		}
		for {
			_ = http.NewResponseController(w).Flush()
			select {
			case <-time.After(time.Second):
				_, _ = io.WriteString(w, beat)
			case <-breaks:
				return
			case <-r.Context().Done():
				return
			}
		}
	})
	p := openTab(t, c.URL)
	defer p.judge(t)
	p.watch(t, "any", repeats, later, gone, steady)
	p.becomes(t, gone, inWatch, "Ended: KooDrive has no such task")
	p.sees(t, fmt.Sprintf(`/^KooDrive .* Watching again in \d+ s\.$/.test(cellOf(%q, 'Watch'))`, later))
	p.becomes(t, steady, inWatch, "Live")
	p.becomes(t, later, inStatus, "SUCCESS")
	p.becomes(t, repeats, inStatus, "SUCCESS")
	p.becomes(t, steady, inWatch, "Live")
	if got := p.history(t, repeats); !slices.Equal(got, []string{"Watch started", "EXECUTING", "Interrupted: The connection broke.", "Live again", "SUCCESS"}) {
		t.Errorf("the history is %q", got)
	}
	for _, want := range [][]string{{later, gone, repeats, steady}, {later}, {repeats, steady}} {
		if got := <-lists; !slices.Equal(got, want) {
			t.Errorf("a stream is of %q, want %q", got, want)
		}
	}
	if end := eval[int](t, p, `[...document.querySelectorAll('#history li')].filter((li) => li.textContent.includes('SUCCESS')).length`); end != 1 {
		t.Errorf("the task ends %d times", end)
	}
	eval[chromedp.Void](t, p, byRole("button", "Remove "+steady)+`.click()`)
	p.sees(t, `document.title === '✓ 2 ! 1 kootask'`)
}
