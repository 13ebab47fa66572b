package koodrivetest

import (
	"net/http"
	"sync"
	"time"
)

// KooDrive is a KooDrive that does as it is told. It is an [http.Handler] for one host, over HTTP/1.1 or HTTP/2, and
// everything about it may be changed while it serves. Make one with [New].
type KooDrive struct {
	journal journal

	mu     sync.Mutex // guards everything below
	skew   time.Duration
	fault  *Fault
	tasks  map[string]*timeline // by task id
	lastID int64                // of the tasks made over HTTP
	tokens map[string]*token    // by the Authorization header's value
	apps   map[string]string    // secrets by app id
}

// New returns a KooDrive that accepts no credential yet and knows one task, [Example].
func New() *KooDrive {
	k := &KooDrive{
		tasks:  make(map[string]*timeline),
		lastID: firstID,
		tokens: make(map[string]*token),
		apps:   make(map[string]string),
	}
	k.SetTask(Example())
	return k
}

// SetSkew puts KooDrive's clock d ahead of this machine's, or behind it if d is negative. The Date header of every
// answer and the check of X-Date follow that clock; tasks, tokens and the log do not.
func (k *KooDrive) SetSkew(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.skew = d
}

// SetFault does f to every answer from now on, to those of unknown routes and refused credentials too, and in place of
// the faults of the tasks' steps; nil ends it. If f has a Status, a Body, Hang or Reset, nothing else is looked at:
// no credential is checked, no token kept alive, no task moves on, and a body that f does not give is empty.
// The fault must not be changed afterwards.
func (k *KooDrive) SetFault(f *Fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fault = f
}

// Requests returns what was asked so far, oldest first, but only the newest 10,000 requests.
// The headers belong to the log and must not be changed.
func (k *KooDrive) Requests() []Request { return k.journal.requests() }

// ForgetRequests empties the log. The count goes on.
func (k *KooDrive) ForgetRequests() { k.journal.forget() }

// Count returns how many requests ever came, those that the log has forgotten included.
func (k *KooDrive) Count() int { return k.journal.len() }

// ServeHTTP answers one request. What the answer says is decided when the request has arrived, before any latency.
// It returns when the answer has been written, or soon after the client has gone.
func (k *KooDrive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	op, id := route(r)
	e := k.journal.begin(r, id)
	defer e.end()
	a := k.answer(r, op, id)
	e.refused(a.refused)
	k.send(w, r, a, e)
}

// now is the time on KooDrive's clock.
func (k *KooDrive) now() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Now().Add(k.skew)
}
