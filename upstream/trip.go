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

// maxInterim is how many answers of 1xx may come before the answer: net/http leaves that count to whoever looks at them.
const maxInterim = 10

// errAgain keeps net/http from sending a request again. Whether that is done is decided here: see [Client.attempt].
var errAgain = errors.New("the request would be sent again")

// trip is one use of a transport: at most one request leaves on it. The transport's goroutines and the attempt's share it.
type trip struct {
	attempt context.Context // The attempt's: the trip's own ends with it, or before.
	stop    context.CancelCauseFunc

	sent    atomic.Int32 // How many connections the request was given.
	reused  atomic.Bool  // The connection had served a request before.
	http2   atomic.Bool
	answer  atomic.Bool // Its first byte has come.
	stopped atomic.Bool // net/http was about to send the request again.
	interim atomic.Int32
	fault   atomic.Pointer[AnswerError] // An answer of 1xx that should not be.
	headed  atomic.Pointer[response]    // The answer without its body.
}

type tripKey struct{}

// tripOf returns the trip of a request's context, or of its dial's.
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

// gotConnection stops a request that is about to be sent again over HTTP/2: net/http looks at the context before it does.
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

// again returns an error if the request was given a connection already: net/http is about to get it another one.
func (t *trip) again() error {
	if t.sent.Load() == 0 {
		return nil
	}
	t.stopped.Store(true)
	return errAgain
}

// gotInterim refuses an answer of 1xx that no request of ours asks for.
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

// unprocessed reports whether KooDrive has said that it did not process the request: it has refused the stream, or ended
// the connection before it.
//
// net/http wants to repeat such a request over HTTP/2, and does not say why. It does also after RST_STREAM with
// PROTOCOL_ERROR, which cannot be told apart here: KooDrive has then found fault with the request.
func (t *trip) unprocessed() bool { return t.stopped.Load() && t.http2.Load() }

// died reports whether the trip has failed with err since its connection, which was kept alive, ended before the answer
// began. KooDrive may have got the request.
func (t *trip) died(err error) bool {
	var stream streamError
	if t.answer.Load() || !t.reused.Load() || t.fault.Load() != nil || t.unprocessed() || t.attempt.Err() != nil {
		return false
	}
	return t.stopped.Load() || t.http2.Load() && !errors.As(err, &stream)
}

// streamError has the form of net/http's error for one stream of HTTP/2, whose type cannot be named: errors.As fills it in.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "a stream of HTTP/2 has failed" }

// response is an answer. Its body was read, as far as it came.
type response struct {
	status   int
	header   http.Header
	received time.Time // When the header had come.
	body     []byte    // At most one byte more than MaxBody.
	bodyErr  error     // Why the body is not whole.
	xDate    string    // That of the request.
}

// exchange sends a request and reads the answer. It may never return.
func (t *trip) exchange(transport http.RoundTripper, req *http.Request) (*response, error) {
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	// Of a body that was not read to its end, Close may wait for the peer: for seconds, if TLS has to be ended. Nobody waits.
	defer func() { go func() { _ = resp.Body.Close() }() }()
	r := response{
		status: resp.StatusCode, header: resp.Header, received: time.Now(), xDate: req.Header.Get(HeaderDate),
	}
	if r.status < http.StatusOK { // The body of 101 is the connection itself, which has no end.
		return nil, interimFault(r.status)
	}
	headed := r
	headed.bodyErr = bounded.ErrAbandoned
	t.headed.Store(&headed)
	r.body, r.bodyErr = unpack.Body(resp, MaxBody+1)
	return &r, nil
}

// run makes the exchange of the trip. It returns soon after the attempt has ended in any case; if net/http does not, its
// connections get no more requests, and a header that has come is all of the answer.
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
