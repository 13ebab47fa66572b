package koodrivetest

import (
	"net/http"
	"sync"
	"time"
)

// maxLog is how many requests the log remembers.
const maxLog = 10_000

// Request is one request as it came, and what became of it.
type Request struct {
	Received time.Time // on this machine's clock
	Ended    time.Time // when the answer was written or given up; zero while it is being answered
	Method   string
	Host     string
	Path     string // with the query, neither decoded nor cleaned
	Header   http.Header
	TaskID   string // that a task's detail was asked for, decoded; empty on other routes
	Refused  string // why the credential or a header was refused, in words for people; empty if it was not
	Status   int    // HTTP status of the answer; 0 if none was begun
	// InFlight is how many requests for the same task with the same Authorization and X-User-Id were being answered
	// when this one came, itself included; 0 on other routes.
	InFlight int
}

// flight is what requests have in common that a client should not send at the same time.
type flight struct{ task, authorization, user string }

// journal remembers requests. Its zero value is ready to use.
type journal struct {
	mu      sync.Mutex // guards everything below, and the Request of every entry
	count   int
	entries []*entry       // the newest maxLog
	flights map[flight]int // requests being answered
}

// entry is a request in the journal.
type entry struct {
	Request
	journal *journal
	flight  flight
}

// begin notes that a request came. The entry must be ended.
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
		j.entries[0] = nil // or it would live as long as the slice
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
