// Command koodrive is a stand-in for KooDrive that costs as little as net/http allows. Tasks whose ids begin with "done" have
// succeeded, and all others are executing. Unlike upstream/koodrivetest it checks nothing, so that it leaves the
// machine to the servers that are measured.
//
// The control port has the routes of package control, and GET /requests (requests so far), GET /longest (the longest gap
// between two requests for one task, in seconds; an open gap counts) and POST /forget (gaps so far do not count).
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kootask/kootask/bench/control"
	"github.com/kootask/kootask/bench/task"
)

// asked is when a task was asked for. It is guarded by nothing: kootask has one request per task in flight.
type asked struct {
	last, gap atomic.Int64 // In nanoseconds. The gap is 0 before the second request.
}

type koodrive struct {
	control.State
	latency  time.Duration
	requests atomic.Int64
	tasks    sync.Map // From the id to *asked.
}

func (k *koodrive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, found := strings.CutPrefix(r.URL.Path, "/koodrive/ose/v1/task/")
	if !found {
		http.NotFound(w, r)
		return
	}
	k.requests.Add(1)
	if k.latency > 0 {
		<-time.After(k.latency)
	}
	status := 1
	if strings.HasPrefix(id, "done") {
		status = 2
	}
	version, pad := k.Last()
	body := task.Body(id, version, pad, status)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	k.note(id)
	k.Tell(version)
	_, _ = w.Write(body)
}

// note measures the gap to the request for the same task before this one.
func (k *koodrive) note(id string) {
	known, found := k.tasks.Load(id)
	if !found {
		known, _ = k.tasks.LoadOrStore(id, &asked{})
	}
	a, now := known.(*asked), time.Now().UnixNano()
	if last := a.last.Swap(now); last != 0 && now-last > a.gap.Load() {
		a.gap.Store(now - last)
	}
}

// longest returns the longest gap.
func (k *koodrive) longest() time.Duration {
	longest, now := int64(0), time.Now().UnixNano()
	k.tasks.Range(func(_, known any) bool {
		a := known.(*asked)
		longest = max(longest, a.gap.Load(), now-a.last.Load())
		return true
	})
	return time.Duration(longest)
}

func main() {
	addr := flag.String("addr", "", "address of the port")
	ctl := flag.String("control", "", "address of the control port")
	latency := flag.Duration("latency", 0, "duration of a request")
	flag.Parse()
	k := &koodrive{latency: *latency}
	http.HandleFunc("GET /requests", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, k.requests.Load()) })
	http.HandleFunc("GET /longest", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, k.longest().Seconds())
	})
	http.HandleFunc("POST /forget", func(http.ResponseWriter, *http.Request) {
		k.tasks.Range(func(_, known any) bool { known.(*asked).gap.Store(0); return true })
	})
	go func() { log.Fatal(k.Serve(*ctl, nil)) }()
	log.Fatal(control.Listen(*addr, k))
}
