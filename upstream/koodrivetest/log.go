package koodrivetest

import (
	"net/http"
	"sync"
	"time"
)

// maxLog is the number of requests that the log keeps.
const maxLog = 10_000

// Request is a received request and its outcome.
type Request struct {
	Received time.Time // on this machine's clock
	Ended    time.Time // when the answer was written or given up; zero before
	Method   string
	Host     string
	Path     string // with the query, as received
	Header   http.Header
	TaskID   string // id of the requested task, decoded; empty on other routes
	Refused  string // why the credential or a header was refused, for people; empty: it was not
	Status   int    // HTTP status of the answer; 0: not begun
	// InFlight is the number of requests in flight for the same task with the same Authorization and X-User-Id when
	// this one arrived, itself included; 0 on other routes.
	InFlight int
}

// flight identifies requests that a client should not send at the same time.
type flight struct{ task, authorization, user string }

// journal logs requests. Its zero value is ready to use.
type journal struct {
	mu      sync.Mutex // guards everything below, and the Request of every entry
	count   int
	entries []*entry       // the newest maxLog
	flights map[flight]int // requests in flight
}

// entry is a request in the journal.
type entry struct {
	Request
	journal *journal
	flight  flight
}

// begin logs a request. The entry must be ended.
func (j *journal) begin(r *http.Request, task string) *entry {
	e := &entry{
		Request: Request{
			Received: time.Now(), Method: r.Method, Host: r.Host, Path: r.RequestURI,
			Header: r.Header.Clone(), TaskID: task,
		},
		journal: j,
		flight:  flight{task, r.Header.Get("Authorization"), r.Header.Get("X-User-Id")},
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if task != "" {
		if j.flights == nil {
			j.flights = make(map[flight]int)
		}
		j.flights[e.flight]++
		e.InFlight = j.flights[e.flight]
	}
	if len(j.entries) == maxLog {
		j.entries[0] = nil // allows it to be garbage collected
		j.entries = j.entries[1:]
	}
	j.entries = append(j.entries, e)
	j.count++
	return e
}

func (e *entry) refused(why string) {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	e.Refused = why
}

func (e *entry) answered(status int) {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	e.Status = status
}

func (e *entry) end() {
	e.journal.mu.Lock()
	defer e.journal.mu.Unlock()
	e.Ended = time.Now()
	if e.TaskID == "" {
		return
	}
	e.journal.flights[e.flight]--
	if e.journal.flights[e.flight] == 0 {
		delete(e.journal.flights, e.flight)
	}
}

func (j *journal) requests() []Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]Request, len(j.entries))
	for i, e := range j.entries {
		list[i] = e.Request
	}
	return list
}

func (j *journal) forget() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
}

func (j *journal) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count
}
