package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/kootask/kootask/service/gateway"
)

// patient handles HTTP/1 clients that close their side of the connection. Some load balancers do so as soon as they
// have sent a GET, so an ordinary request is still answered, within its own time limit. A watch or a wait ends, even if
// the client has sent more bytes: net/http reads only one byte during a request and would not notice the close after it. A
// broken connection ends both, unless its client had closed its side, after which nothing more is read.
func patient(handler *gateway.Gateway) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, ok := r.Context().Value(fromKey{}).(origin)
		if !ok || r.ProtoMajor != 1 {
			handler.ServeHTTP(w, r)
			return
		}
		var leave func()
		if handler.EndsWithClient(r) {
			leave = from.conn.ahead.endWith(r)
		} else {
			r, leave = from.conn.ahead.outlive(r)
		}
		defer leave()
		handler.ServeHTTP(w, r)
	})
}

// outlive returns a request whose context outlives its client's close, but not a break of the connection. The caller must
// call leave at the end of the request.
func (a *ahead) outlive(r *http.Request) (_ *http.Request, leave func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(r.Context(), func() {
		if a.isBroken() {
			cancel()
		}
	})
	return r.WithContext(ctx), func() {
		stop()
		cancel()
	}
}

// endWith ends a stream's context with its client's close. The caller must call leave at the end of the stream.
func (a *ahead) endWith(r *http.Request) (leave func()) {
	ctx, cancel := context.WithCancel(r.Context())
	ended := a.attend(cancel)
	*r = *r.WithContext(ctx) // The stream would keep the copy for its lifetime.
	return func() {
		ended()
		cancel()
	}
}

// maxAhead limits the bytes that are read from a client during a stream. If it sends more, its close is noticed only
// when a write fails.
const maxAhead = 4 << 10

// readOnAfter is how long a stream waits for net/http to read before it reads itself.
const readOnAfter = 100 * time.Millisecond

// ahead reads a connection. During a stream it reads ahead, to notice the client's close, and keeps the bytes for the
// next reader.
type ahead struct {
	conn net.Conn

	mu      sync.Mutex
	changed sync.Cond // Of buffer, err and alone; its L is mu.
	hangup  func()    // Guarded by mu, as are the fields below. Nil while there is no stream.
	broken  bool      // A read has failed for another reason than the client's close.
	reading bool      // Read is reading the connection.
	alone   bool      // readOn is reading the connection.
	waiting int       // Number of calls of Read that wait for readOn.
	buffer  []byte
	err     error
}

func newAhead(conn net.Conn) *ahead {
	a := &ahead{conn: conn}
	a.changed.L = &a.mu
	return a
}

// Read returns bytes that were read ahead, or else reads the connection, in this order:
//  1. While readOn reads, wait for its bytes or its error.
//  2. Return its bytes, then its error, once.
//  3. Otherwise read the connection, without the lock.
//
// net/http calls it from one goroutine at a time.
func (a *ahead) Read(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting++
	for a.alone && len(a.buffer) == 0 && a.err == nil {
		a.changed.Wait()
	}
	a.waiting--
	if len(a.buffer) > 0 {
		n := copy(b, a.buffer)
		a.buffer = a.buffer[n:]
		return n, nil
	}
	if err := a.err; err != nil {
		a.err = nil
		return 0, err
	}
	a.reading = true
	a.mu.Unlock()
	n, err := a.conn.Read(b)
	a.mu.Lock()
	a.reading = false
	a.readLocked(err)
	a.readOnLocked()
	return n, err
}

// attend calls hangup when the client closes its side or the connection breaks, until stop is called.
func (a *ahead) attend(hangup func()) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hangup = hangup
	if a.err != nil { // The client has already closed its side, after the bytes in buffer.
		hangup()
	}
	// Usually net/http is about to read: a second goroutine would wait beside its own for the whole stream.
	soon := time.AfterFunc(readOnAfter, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.readOnLocked()
	})
	return func() {
		soon.Stop()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.hangup = nil
	}
}

// readOnLocked starts readOn if there is a stream and nothing else reads.
func (a *ahead) readOnLocked() {
	if a.hangup == nil || a.reading || a.alone || len(a.buffer) >= maxAhead || a.err != nil {
		return
	}
	a.alone = true
	go a.readOn()
}

// readOn reads until the stream has ended or a read fails. It may outlive the stream: like every read, a deadline or
// the close of the connection ends it.
func (a *ahead) readOn() {
	chunk := make([]byte, 512)
	for goOn := true; goOn; {
		n, err := a.conn.Read(chunk)
		a.mu.Lock()
		a.buffer = append(a.buffer, chunk[:n]...)
		a.readLocked(err)
		// A deadline without a waiting reader was meant for an earlier read.
		if !errors.Is(err, os.ErrDeadlineExceeded) || a.waiting > 0 {
			a.err = err
		}
		goOn = err == nil && a.hangup != nil && len(a.buffer) < maxAhead
		a.alone = goOn
		a.changed.Broadcast()
		a.mu.Unlock()
	}
}

// readLocked records the end of a read.
func (a *ahead) readLocked(err error) {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	a.broken = a.broken || !errors.Is(err, io.EOF)
	if a.hangup != nil {
		a.hangup()
	}
}

func (a *ahead) isBroken() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}
