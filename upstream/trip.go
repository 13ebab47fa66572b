package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync/atomic"
	"time"

	"github.com/kootask/kootask/internal/bounded"
	"github.com/kootask/kootask/internal/unpack"
)

// maxInterim limits the 1xx answers before the answer. net/http sets no limit if they are observed.
const maxInterim = 10

// errAgain keeps net/http from sending a request again. [Client.attempt] decides about that.
var errAgain = errors.New("the request would be sent again")

// trip is one use of the transport, on which the request is sent at most once. The transport's goroutines and the
// attempt's share it.
type trip struct {
	attempt context.Context // The attempt's context. The trip's own ends with it or earlier.
	stop    context.CancelCauseFunc

	sent    atomic.Int32 // The number of connections that the request was given.
	reused  atomic.Bool  // The connection had served a request before.
	http2   atomic.Bool
	answer  atomic.Bool // The first byte of the answer has arrived.
	stopped atomic.Bool // net/http was about to send the request again.
	interim atomic.Int32
	fault   atomic.Pointer[AnswerError] // An invalid 1xx answer.
	headed  atomic.Pointer[response]    // The answer without its body.
}

type tripKey struct{}

// tripOf returns the trip in the context of a request or of its dial.
func tripOf(ctx context.Context) *trip {
	t, _ := ctx.Value(tripKey{}).(*trip)
	return t
}

// begin returns a trip and its context.
func begin(attempt context.Context) (*trip, context.Context) {
	t := &trip{attempt: attempt}
	ctx, stop := context.WithCancelCause(context.WithValue(attempt, tripKey{}, t))
	t.stop = stop
	return t, httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:              t.gotConnection,
		GotFirstResponseByte: func() { t.answer.Store(true) },
		Got1xxResponse:       t.gotInterim,
	})
}

// gotConnection stops a request that net/http is about to send again over HTTP/2: net/http checks the context before it
// does.
func (t *trip) gotConnection(info httptrace.GotConnInfo) {
	if t.sent.Add(1) > 1 {
		t.stopped.Store(true)
		t.stop(errAgain)
		return
	}
	t.reused.Store(info.Reused)
	if secured, ok := info.Conn.(*tls.Conn); ok {
		t.http2.Store(secured.ConnectionState().NegotiatedProtocol == "h2")
	}
}

// again returns errAgain if the request already had a connection: net/http is about to give it another.
func (t *trip) again() error {
	if t.sent.Load() == 0 {
		return nil
	}
	t.stopped.Store(true)
	return errAgain
}

// gotInterim refuses a 1xx answer that kootask's requests cannot cause.
func (t *trip) gotInterim(status int, _ textproto.MIMEHeader) error {
	allowed := status == http.StatusContinue || status == http.StatusEarlyHints
	if allowed && t.interim.Add(1) <= maxInterim {
		return nil
	}
	fault := interimFault(status)
	t.fault.Store(fault)
	return fault
}

func interimFault(status int) *AnswerError {
	return &AnswerError{Fault: Contradictory, Status: status, Detail: "no request asks for this status, or so often"}
}

// unprocessed reports whether KooDrive has declared that it did not process the request, by refusing the stream or by
// ending the connection before it.
//
// net/http would repeat such a request over HTTP/2, and does not report the cause. It also does so after RST_STREAM
// with PROTOCOL_ERROR, by which KooDrive rejects the request itself; the two cannot be distinguished here.
func (t *trip) unprocessed() bool { return t.stopped.Load() && t.http2.Load() }

// died reports whether the trip failed because its kept-alive connection ended before the answer began. KooDrive may
// have received the request.
func (t *trip) died(err error) bool {
	var stream streamError
	if t.answer.Load() || !t.reused.Load() || t.fault.Load() != nil || t.unprocessed() || t.attempt.Err() != nil {
		return false
	}
	return t.stopped.Load() || t.http2.Load() && !errors.As(err, &stream)
}

// streamError has the fields of net/http's unexported error for an HTTP/2 stream: errors.As converts that one to it.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "a stream of HTTP/2 has failed" }

// response is an answer whose body was read as far as it arrived.
type response struct {
	status   int
	header   http.Header
	received time.Time // When the header arrived.
	body     []byte    // At most MaxBody+1 bytes.
	bodyErr  error     // Why the body is incomplete.
	xDate    string    // The X-Date of the request.
}

// exchange sends a request and reads the answer. It may never return.
func (t *trip) exchange(transport http.RoundTripper, req *http.Request) (*response, error) {
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// If the body was not read to its end, Close may block on the peer for seconds, to end TLS. So it gets its own
	// goroutine.
	defer func() { go func() { _ = resp.Body.Close() }() }()
	r := response{
		status: resp.StatusCode, header: resp.Header, received: time.Now(), xDate: req.Header.Get(HeaderDate),
	}
	if r.status < http.StatusOK { // The body of a 101 is the connection itself, which does not end.
		return nil, interimFault(r.status)
	}
	headed := r
	headed.bodyErr = bounded.ErrAbandoned
	t.headed.Store(&headed)
	r.body, r.bodyErr = unpack.Body(resp, MaxBody+1)
	return &r, nil
}

// run runs exchange, and returns soon after the attempt has ended even if exchange does not. In that case the
// generation gets no new requests. If the header had arrived, run returns the answer without its body.
func (t *trip) run(g *generation, req *http.Request) (*response, error) {
	resp, err := bounded.Call(t.attempt, func() (*response, error) { return t.exchange(g.transport, req) })
	if !errors.Is(err, bounded.ErrAbandoned) {
		return resp, err
	}
	g.renew()
	if headed := t.headed.Load(); headed != nil {
		return headed, nil
	}
	return nil, err
}
