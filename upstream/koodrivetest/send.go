package koodrivetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strconv"
	"time"
)

// send writes an answer with its fault, and records the status in e. It cuts a connection with net/http's panic for
// that, which works for HTTP/1.1 and HTTP/2.
func (k *KooDrive) send(w http.ResponseWriter, r *http.Request, a answer, e *entry) {
	var f Fault
	if a.fault != nil {
		f = *a.fault
	}
	wait(r.Context(), f.Latency)
	if f.Hang {
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	if f.Reset {
		panic(http.ErrAbortHandler)
	}
	if f.Status != 0 {
		a.status = f.Status
	}
	body := f.body(a.body)
	h := w.Header()
	h.Set("Content-Type", "application/json;charset=UTF-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Date", k.now().UTC().Format(http.TimeFormat))
	if f.Gzip {
		h.Set("Content-Encoding", "gzip")
	}
	for name, values := range f.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	e.answered(a.status)
	w.WriteHeader(a.status)
	f.write(w, r, body)
}

// write sends the body, as far as the fault allows.
func (f *Fault) write(w http.ResponseWriter, r *http.Request, body []byte) {
	if f.Truncate {
		body = body[:len(body)/2]
	}
	if f.Drip > 0 {
		for i := range body {
			flush(w)
			wait(r.Context(), f.Drip)
			_, _ = w.Write(body[i : i+1])
		}
	} else {
		_, _ = w.Write(body)
	}
	if f.Truncate {
		flush(w)
		panic(http.ErrAbortHandler)
	}
}

// body applies the fault to a body.
func (f *Fault) body(b []byte) []byte {
	if f.Body != nil {
		b = []byte(*f.Body)
	}
	if n := f.Pad - len(b); n > 0 {
		inner, brace := bytes.CutSuffix(b, []byte("}"))
		b = append(bytes.Clone(inner), bytes.Repeat([]byte(" "), n)...)
		if brace {
			b = append(b, '}')
		}
	}
	if f.Gzip {
		var z bytes.Buffer
		zw := gzip.NewWriter(&z)
		_, _ = zw.Write(b)
		_ = zw.Close()
		b = z.Bytes()
	}
	return b
}

// wait waits for d. It aborts the answer if the client leaves before that.
func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		panic(http.ErrAbortHandler)
	}
}

// flush sends the bytes written so far, if the writer supports it.
func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
