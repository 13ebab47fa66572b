package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"

	"github.com/kootask/kootask/service/gateway"
)

// patient handles an HTTP/1 client that closes its side of the connection. Some balancers do so as soon as they have sent a GET: such a
// request is answered, within its own limit. A stream ends, also if the client sent more bytes before. (net/http reads one byte during a
// request, and does not see the bytes after it.) A broken connection ends both, unless its client closed its side before, because then
// nothing more is read.
func patient(handler *gateway.Gateway) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, ok := r.Context().Value(fromKey{}).(origin)
		if !ok || r.ProtoMajor != 1 {
			handler.ServeHTTP(w, r)
			return
		}
		if handler.IsStream(r) {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer from.conn.ahead.attend(cancel)()
			handler.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
		defer cancel()
		defer context.AfterFunc(r.Context(), func() {
			if from.conn.ahead.isBroken() {
				cancel()
			}
		})()
		handler.ServeHTTP(w, r.WithContext(ctx))
	})
}

// maxAhead is the maximum number of bytes that are read from a client during a stream. If it sends more, its close is noticed only when a
// write fails.
const maxAhead = 4 << 10

// ahead reads a connection. During a stream it reads ahead, to notice that the client closes its side, and keeps the bytes for the next
// reader.
type ahead struct {
	conn net.Conn

	mu      sync.Mutex
	changed sync.Cond // Of buffer, err and alone; its L is mu.
	hangup  func()    // Guarded by mu, as are all fields below. Nil without a stream.
	broken  bool      // Reading has failed, and not by the client's close.
	reading bool      // A reader reads the connection itself.
	alone   bool      // The goroutine of readOn reads the connection.
	waiting int       // Readers that wait for readOn.
	buffer  []byte
	err     error
}

func newAhead(conn net.Conn) *ahead {
	a := &ahead{conn: conn}
	a.changed.L = &a.mu
	return a
}

// Read returns the bytes that were read ahead first. net/http has one reader at a time.
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

// attend calls hangup when the client has closed its side or the connection breaks, until stop is called.
func (a *ahead) attend(hangup func()) (stop func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hangup = hangup
	if a.err != nil { // The client has closed already, after the bytes in the buffer.
		hangup()
	}
	a.readOnLocked()
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.hangup = nil
	}
}

// readOnLocked begins to read ahead, if there is a stream and no other reader.
func (a *ahead) readOnLocked() {
	if a.hangup == nil || a.reading || a.alone || len(a.buffer) >= maxAhead || a.err != nil {
		return
	}
	a.alone = true
	go a.readOn()
}

// readOn reads until the stream has ended or the connection fails. It may outlive the stream: a deadline or the close of the
// connection ends it, like every read.
func (a *ahead) readOn() {
	chunk := make([]byte, 512)
	for goOn := true; goOn; {
		n, err := a.conn.Read(chunk)
		a.mu.Lock()
		a.buffer = append(a.buffer, chunk[:n]...)
		a.readLocked(err)
		if !errors.Is(err, os.ErrDeadlineExceeded) || a.waiting > 0 { // A deadline belongs to a reader.
			a.err = err
		}
		goOn = err == nil && a.hangup != nil && len(a.buffer) < maxAhead
		a.alone = goOn
		a.changed.Broadcast()
		a.mu.Unlock()
	}
}

// readLocked notes the end of a read.
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
