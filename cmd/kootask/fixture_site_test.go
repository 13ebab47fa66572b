package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

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

// newStub leads to a site, apart from its watches: they go to answer, which gets the ids of their tasks.
func newStub(t *testing.T, to string, answer func(w http.ResponseWriter, r *http.Request, ids []string)) *cable {
	t.Helper()
	c := newCable(t, to)
	site := c.Config.Handler
	c.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/tasks:watch" {
			answer(w, r, r.URL.Query()["taskIds"])
			return
		}
		site.ServeHTTP(w, r)
	})
	return c
}
