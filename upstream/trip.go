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

// trip is one use of the transport, on which the request is sent at most once, and the context of that request. The
// transport's goroutines and the attempt's share it.
type trip struct {
	context.Context // Ends with the attempt, or with stop.
	stop            context.CancelCauseFunc
	alarm           *alarm          // Rings at deadline.
	caller          context.Context // The context of the call.
	deadline        time.Time       // When the attempt ends.
	trace           httptrace.ClientTrace

	sent    atomic.Int32 // The number of connections that the request was given.
	reused  atomic.Bool  // The connection had served a request before.
	http2   atomic.Bool
	answer  atomic.Bool // The first byte of the answer has arrived.
	stopped atomic.Bool // net/http was about to send the request again.
	interim atomic.Int32
	fault   atomic.Pointer[AnswerError] // An invalid 1xx answer.

	head   head        // The head of the answer, if headed is set.
	headed atomic.Bool // The head has arrived. It does not change any more.
}

type tripKey struct{}

// Value returns t for a tripKey.
func (t *trip) Value(key any) any {
	if key == (tripKey{}) {
		return t
	}
	return t.Context.Value(key)
}

// tripOf returns the trip in the context of a request or of its dial.
func tripOf(ctx context.Context) *trip {
	t, _ := ctx.Value(tripKey{}).(*trip)
	return t
}

// Deadline returns when the attempt ends at the latest.
func (t *trip) Deadline() (time.Time, bool) {
	if caller, ok := t.caller.Deadline(); ok && caller.Before(t.deadline) {
		return caller, true
	}
	return t.deadline, true
}

// Err returns why the trip has ended, as the context of a deadline would. The Err of a context derived from it is
// Canceled; its cause is that of the trip.
func (t *trip) Err() error {
	err := t.Context.Err()
	if err != nil && errors.Is(context.Cause(t.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return err
}

// begin returns a trip of an attempt that ends with caller or at deadline. Its end must be called once.
func (c *Client) begin(caller context.Context, deadline time.Time) *trip {
	t := &trip{caller: caller, deadline: deadline}
	t.Context, t.stop = context.WithCancelCause(caller)
	t.alarm = c.alarms.set(time.Until(deadline), func() { t.stop(context.DeadlineExceeded) })
	t.trace.GotConn = t.gotConnection
	t.trace.GotFirstResponseByte = t.gotFirstByte
	t.trace.Got1xxResponse = t.gotInterim
	return t
}

// end ends the trip.
func (t *trip) end() {
	t.alarm.stop()
	t.stop(nil)
}

// ended reports whether the attempt has ended. The trip may end earlier.
func (t *trip) ended() bool { return t.caller.Err() != nil || !time.Now().Before(t.deadline) }

func (t *trip) gotFirstByte() { t.answer.Store(true) }

// gotConnection stops a request that net/http is about to send again over HTTP/2: net/http checks the context before it
// does.
func (t *trip) gotConnection(info httptrace.GotConnInfo) {
	if t.sent.Add(1) > 1 {
		t.stopped.Store(true)
		t.stop(nil)
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
	if t.answer.Load() || !t.reused.Load() || t.fault.Load() != nil || t.unprocessed() || t.ended() {
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

// head is the part of an answer before its body.
type head struct {
	status   int
	header   http.Header
	received time.Time // When it arrived.
	xDate    string    // The X-Date of the request.
	began    time.Time // When the exchange began.
	proto    string    // The version of HTTP.
	reused   bool      // The connection had served a request before.
}

// response is an answer whose body was read as far as it arrived.
type response struct {
	head
	body    []byte // At most MaxBody+1 bytes.
	bodyErr error  // Why the body is incomplete.
	dialect *Dialect
}

// exchange sends a request and reads the answer. It may never return.
func (t *trip) exchange(transport http.RoundTripper, req *http.Request) (*response, error) {
	began := time.Now()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	read := false
	defer func() {
		if read && resp.ProtoMajor == 1 {
			_ = resp.Body.Close()
		} else { // Close may wait for the peer for seconds, to end TLS, or for another stream of the connection.
			go func() { _ = resp.Body.Close() }()
		}
	}()
	r := response{head: head{
		status: resp.StatusCode, header: resp.Header, received: time.Now(), xDate: req.Header.Get(HeaderDate),
		began: began, proto: resp.Proto, reused: t.reused.Load(),
	}}
	if r.status < http.StatusOK { // The body of a 101 is the connection itself, which does not end.
		return nil, interimFault(r.status)
	}
	t.head = r.head
	t.headed.Store(true)
	r.body, r.bodyErr = unpack.Body(resp, MaxBody+1)
	read = r.bodyErr == nil && len(r.body) <= MaxBody
	return &r, nil
}

// run runs exchange in a goroutine that start starts, and returns soon after the trip has ended even if exchange does not.
// In that case the generation gets no new requests. If the head of the answer had arrived, run returns that.
func (t *trip) run(g *generation, req *http.Request, start func(func())) (*response, error) {
	resp, err := bounded.CallIn(t, start, func() (*response, error) { return t.exchange(g.transport, req) })
	if !errors.Is(err, bounded.ErrAbandoned) {
		return resp, err
	}
	g.renew()
	if t.headed.Load() {
		return &response{head: t.head, bodyErr: err}, nil
	}
	return nil, err
}
