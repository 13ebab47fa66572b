package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// site is kootask with its page, and a KooDrive that the test controls.
type site struct {
	koodrive *koodrivetest.KooDrive
	upstream string // KooDrive's URL.
	url      string // Of the page.
	admin    adminPort
}

const pageToken = "token-of-the-page"

// newSite starts both. Polls are frequent.
func newSite(t *testing.T, env []string, flags ...string) *site {
	t.Helper()
	koodrive := koodrivetest.New()
	koodrive.AddToken(pageToken, 0)
	upstream := httptest.NewServer(koodrive)
	t.Cleanup(upstream.Close)
	p := start(t, env, append([]string{
		"serve", "--upstream-allow-http", "--upstream-url=" + upstream.URL, "--poll-min=100ms", "--poll-max=200ms", "--poll-backoff-max=200ms", "--heartbeat=1s",
		"--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0",
	}, flags...)...)
	return &site{
		koodrive, upstream.URL, "http://" + p.says(t, `"http":"([^"]+)"`) + "/",
		adminPort{"http://" + p.says(t, `"admin":"([^"]+)"`), &http.Client{Transport: &http.Transport{}}},
	}
}

// set puts a task into a state, where it stays.
func (s *site) set(id string, status int64) {
	step := koodrivetest.Step{Status: status}
	if status == koodrivetest.StatusFailed {
		step.ResultCode = "18000205"
	}
	s.koodrive.SetTask(koodrivetest.Task{ID: id, Name: "handover of a user's files", UserID: "1395497048157130881", Steps: []koodrivetest.Step{step}})
}

// setMany makes tasks that are running.
func (s *site) setMany(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprint(1534087020903704800+i))
		s.set(ids[i], koodrivetest.StatusExecuting)
	}
	return ids
}

// settles waits until nothing is watched.
func (s *site) settles(t *testing.T) {
	t.Helper()
	await(t, nil, func() bool {
		return s.admin.number(t, "/metrics", "^kootask_watchers") == 0 && s.admin.number(t, "/metrics", "^kootask_watched_tasks") == 0
	})
}

// polled waits until KooDrive has been polled for a task ten times, as often as for every other task that is watched meanwhile.
func (s *site) polled(t *testing.T, id string) {
	t.Helper()
	await(t, nil, func() bool {
		polls := 0
		for _, r := range s.koodrive.Requests() {
			if r.TaskID == id {
				polls++
			}
		}
		return polls >= 10
	})
}

// cable leads to a site, until it is cut.
type cable struct {
	*httptest.Server
	broken atomic.Bool
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, FlushInterval: -1,
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	c := &cable{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.broken.Load() {
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *cable) cut() {
	c.broken.Store(true)
	c.CloseClientConnections()
}

func (c *cable) restore() { c.broken.Store(false) }

// watch fills in the form and submits it.
func (p *tab) watch(t *testing.T, token string, ids ...string) {
	t.Helper()
	p.fill(t, "#token", token)
	p.fill(t, "#ids", strings.Join(ids, " "))
	p.click(t, "#watch")
}

// card selects a part of a task's card.
func card(id, part string) string { return fmt.Sprintf(`[data-task-id="%s"] %s`, id, part) }

// becomes waits until a task's data-state or data-connection is something.
func (p *tab) becomes(t *testing.T, id, what, value string) {
	t.Helper()
	p.sees(t, fmt.Sprintf(`document.querySelector('[data-task-id="%s"]')?.dataset.%s === %q`, id, what, value))
}

// history opens a task's history, and returns it without times and repeats, oldest first.
func (p *tab) history(t *testing.T, id string) []string {
	t.Helper()
	details := fmt.Sprintf(`document.querySelector(%q)`, card(id, ".history"))
	eval[chromedp.Void](t, p, details+`.open = true`)
	p.sees(t, details+`.querySelector('li')`)
	lines := eval[[]string](t, p, `[...`+details+`.querySelectorAll('li')].map((li) => { const line = li.cloneNode(true); line.querySelector('time').remove(); return line.textContent.trim(); })`)
	slices.Reverse(lines)
	return slices.Compact(lines)
}
