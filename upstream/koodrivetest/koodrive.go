package koodrivetest

import (
	"net/http"
	"sync"
	"time"
)

// KooDrive is a simulated KooDrive. It is an [http.Handler] for one host, over HTTP/1.1 or HTTP/2. It is safe for
// concurrent use: all settings may be changed while it serves. Make one with [New].
type KooDrive struct {
	journal journal

	mu      sync.Mutex // guards everything below
	dialect Dialect
	skew    time.Duration
	fault   *Fault
	tasks   map[string]*timeline // by task id
	lastID  int64                // last id of a task created over HTTP
	tokens  map[string]*token    // by the token, those of the carrier edition with "AT "
	apps    map[string]string    // secrets by app id
}

// New returns a KooDrive that accepts no credential and has one task, [Example].
func New() *KooDrive {
	k := &KooDrive{
		dialect: Documented(),
		tasks:   make(map[string]*timeline),
		lastID:  firstID,
		tokens:  make(map[string]*token),
		apps:    make(map[string]string),
	}
	k.SetTask(Example())
	return k
}

// SetSkew sets KooDrive's clock ahead of this machine's by d; negative: behind it. The Date header of all answers and
// the check of X-Date use that clock; tasks, tokens and the log do not.
func (k *KooDrive) SetSkew(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.skew = d
}

// SetFault applies f to all answers, including those to unknown routes and refused credentials, instead of the faults
// of the tasks' steps; nil ends it. If f has a Status, a Body, Hang or Reset, the request is not processed: credentials
// are not checked, tokens not renewed, tasks do not advance, and without f.Body the body is empty. f must not be
// changed afterwards.
func (k *KooDrive) SetFault(f *Fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault = f
}

// Requests returns the requests so far, oldest first, but at most the newest maxLog. Their headers belong to the log
// and must not be changed.
func (k *KooDrive) Requests() []Request { return k.journal.requests() }

// ForgetRequests empties the log. Count is not reset.
func (k *KooDrive) ForgetRequests() { k.journal.forget() }

// Count returns the number of all requests, including those that the log has dropped.
func (k *KooDrive) Count() int { return k.journal.len() }

// ServeHTTP answers one request. The content of the answer is decided when the request has arrived, before any latency.
// ServeHTTP returns when the answer has been written, or soon after the client has left.
func (k *KooDrive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, id := route(r)
	e := k.journal.begin(r, id)
	defer e.end()
	a := k.answer(r, op, id)
	e.refused(a.refused)
	k.send(w, r, a, e)
}

// now returns the time on KooDrive's clock.
func (k *KooDrive) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Now().Add(k.skew)
}
