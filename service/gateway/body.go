package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// bodyTimeout limits the wait for a body that should be empty or is not read.
const bodyTimeout = time.Second

// noBody reports whether a request has no body, or an empty one of unknown length: chunks that end at once, or HTTP/2
// data without a byte. Some clients and proxies send one with every GET. It then makes the request look like one
// without a body.
func noBody(w http.ResponseWriter, r *http.Request) bool {
	if r.ContentLength >= 0 {
		return r.ContentLength == 0
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	if n, err := io.ReadFull(r.Body, make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
		return false
	}
	_ = control.SetReadDeadline(time.Time{})
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
	return true
}

// maxBody is the part of a body that is read and dropped, in bytes.
const maxBody = 64 << 10

// refuseBody keeps net/http from waiting for a body: over HTTP/1 before the answer, by closing the connection after it,
// and afterwards, by a time limit. Over HTTP/2 a short body is read first: net/http would reset its stream after the
// answer, and curl then drops an answer that comes while it sends.
func refuseBody(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout))
	if r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, maxBody)
}
