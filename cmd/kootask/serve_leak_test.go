package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/kootask/kootask/upstream/koodrivetest"
)

// 20,000 watches come and go, three times. When they have left, KooDrive gets no more requests, no goroutine is left, others can
// watch as many tasks, and the heap is as large as the time before.
func TestWatchesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	const (
		perDoor         = 1000 // The limit of a connection to the gRPC port.
		onGRPC, onHTTP  = 16, 4
		tasks, perToken = 1999, 500 // Not a multiple of the number of doors: each task is watched at several.
		atOnce          = 16
	)
	needFiles(t, 4*onHTTP*perDoor+1000) // One address may have half of a port's connections, and a port half of the files.
	koodrive := koodrivetest.New()
	upstream := httptest.NewServer(koodrive)
	defer upstream.Close()
	// Every other round uses other tasks: twice the tasks of one round would exceed the limit.
	target := func(round, i int) (token, id string) {
		return fmt.Sprint("token-", i%tasks/perToken), fmt.Sprint(1534087020903710000 + i%tasks + round%2*tasks)
	}
	for i := range 2 * tasks {
		token, id := target(i/tasks, i)
		koodrive.AddToken(token, 0)
		koodrive.SetTask(koodrivetest.Task{ID: id, Steps: []koodrivetest.Step{{Status: koodrivetest.StatusExecuting}}})
	}
	p := start(t, nil, "serve", "--upstream-allow-http", "--upstream-url="+upstream.URL,
		"--upstream-rps=2000", fmt.Sprint("--upstream-concurrency=", atOnce), "--poll-min=5s",
		fmt.Sprint("--max-tasks=", tasks), fmt.Sprint("--max-tasks-per-credential=", perToken), "--new-tasks-per-peer=2000",
		"--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--admin-addr=127.0.0.1:0")
	grpcAddr, httpAddr := p.says(t, `"grpc":"([^"]+)"`), p.says(t, `"http":"([^"]+)"`)
	admin := adminPort{"http://" + p.says(t, `"admin":"([^"]+)"`), &http.Client{Transport: &http.Transport{}}}

	comeAndGo := func(round, perDoor int) {
		var doors []door
		for range onGRPC {
			doors = append(doors, grpcDoor(t, grpcAddr))
		}
		for i := range onHTTP {
			doors = append(doors, httpDoor(httpAddr, []string{ndjson, sse}[i%2]))
		}
		begun := time.Now()
		endings, leave := crowd(t, perDoor*len(doors), func(i int) (door, string, string) {
			token, id := target(round, i)
			return doors[i%len(doors)], token, id
		})
		t.Logf("%d streams are open after %v, with %d goroutines", cap(endings), time.Since(begun), admin.goroutines(t))
		admin.counts(t, cap(endings), min(cap(endings), tasks))
		for _, d := range doors[:onGRPC/2] {
			d.close() // Half of the gRPC clients vanish, the others cancel.
		}
		leave()
		for range cap(endings) {
			<-endings
		}
		for _, d := range doors {
			d.close()
		}
	}
	comeAndGo(0, 1) // The gateway's own connection comes with the first request, and stays.
	upstream.CloseClientConnections()
	before := p.settled(t, admin.goroutines)
	defer func() {
		if t.Failed() {
			t.Logf("%d goroutines before, and now:\n%s", before, admin.read(t, goroutines))
		}
	}()
	var heaps [3]int
	defer func() { t.Logf("the heap after each time: %d", heaps) }()
	for round := range heaps {
		comeAndGo(round, perDoor)
		left := time.Now()
		// Connections to KooDrive would be kept for a while, with two goroutines each.
		await(t, p.ended, func() bool { return admin.goroutines(t) <= before+2*atOnce })
		upstream.CloseClientConnections()
		await(t, p.ended, func() bool { return admin.goroutines(t) == before })
		t.Logf("%v after they have left there are %d goroutines", time.Since(left), before)
		admin.counts(t, 0, 0)
		asked := koodrive.Count()
		// The state of the last polls is kept for a second, so the first look may still see it.
		await(t, p.ended, func() bool {
			heaps[round] = admin.heap(t)
			return round < len(heaps)-1 || float64(heaps[round]) <= 1.05*float64(heaps[round-1])
		})
		if more := koodrive.Count() - asked; more != 0 {
			t.Errorf("KooDrive got %d requests for unauthenticated callers", more)
		}
	}
}

// settled waits until a number has not changed for a second.
func (p *process) settled(t *testing.T, look func(*testing.T) int) (last int) {
	t.Helper()
	same := 0
	await(t, p.ended, func() bool {
		before := last
		if last = look(t); last != before {
			same = 0
		}
		same++
		return same > 20
	})
	return last
}

// adminPort reads metrics of its process. The client keeps its one connection, which costs goroutines too.
type adminPort struct {
	base   string
	client *http.Client
}

const (
	goroutines = "/debug/pprof/goroutine?debug=1"
	liveHeap   = "/debug/pprof/heap?gc=1&debug=1"
)

func (a adminPort) read(t *testing.T, path string) string {
	t.Helper()
	resp, err := a.client.Get(a.base + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// number is the number after a name.
func (a adminPort) number(t *testing.T, path, name string) int {
	t.Helper()
	text := a.read(t, path)
	m := regexp.MustCompile(`(?m)` + name + ` (\d+)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s lacks %s:\n%s", path, name, text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (a adminPort) goroutines(t *testing.T) int {
	t.Helper()
	return a.number(t, goroutines, "profile: total")
}

// heap is the number of live bytes. Pools are emptied by the second collection.
func (a adminPort) heap(t *testing.T) int {
	t.Helper()
	least := a.number(t, liveHeap, "# HeapAlloc =")
	for range 2 {
		least = min(least, a.number(t, liveHeap, "# HeapAlloc ="))
	}
	return least
}

// counts checks the metrics of open watches and tasks.
func (a adminPort) counts(t *testing.T, watchers, tasks int) {
	t.Helper()
	for name, want := range map[string]int{"^kootask_watchers": watchers, "^kootask_watched_tasks": tasks} {
		if got := a.number(t, "/metrics", name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}
