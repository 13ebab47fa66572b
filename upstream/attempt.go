package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/bounded"
)

const (
	// MaxRepeats is how many times an attempt repeats its request because KooDrive has not processed it.
	MaxRepeats = 4
	// repeatPause is the minimum wait before the second repeat. The first goes at once, and each later one waits more
	// than twice as long as the one before.
	repeatPause = 100 * time.Millisecond
)

// attempt makes one request and reads the answer, within the timeout. It may send the request more than once:
//
//   - up to MaxRepeats more times, if KooDrive reports that it has not processed it;
//   - once more, if q asks for it (Resend) and a kept-alive connection turns out to be dead.
//
// Each time counts against the rate. A request with an Inspection is not sent again.
func (c *Client) attempt(ctx context.Context, q request) (*response, error) {
	deadline := time.Now().Add(c.timeout)
	for repeats, resent := 0, false; ; {
		resp, t, err := c.send(ctx, deadline, q)
		if err == nil {
			return c.read(ctx, t, q, resp)
		}
		switch {
		case q.Inspect != nil:
		case t.unprocessed() && repeats < MaxRepeats:
			pause := repeatPause<<repeats - repeatPause
			if repeats++; c.mayRepeat(ctx, deadline, pause) {
				continue
			}
		case t.died(err):
			if q.Resend && !resent && c.mayRepeat(ctx, deadline, 0) {
				resent = true
				continue
			}
		}
		return nil, c.classify(ctx, t, err)
	}
}

// mayRepeat waits for pause and for the rate. It reports whether the attempt has not ended by then.
func (c *Client) mayRepeat(ctx context.Context, deadline time.Time, pause time.Duration) bool {
	attempt, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	timer := time.NewTimer(max(pause, c.limiter.repeat()))
	defer timer.Stop()
	select {
	case <-attempt.Done():
		return false
	case <-timer.C:
		return attempt.Err() == nil
	}
}

// send sends the request of an attempt once.
func (c *Client) send(ctx context.Context, deadline time.Time, q request) (*response, *trip, error) {
	g := c.connections.enter()
	defer g.leave()
	t := c.begin(ctx, deadline)
	defer t.end()
	req, err := c.build(httptrace.WithClientTrace(t, &t.trace), q)
	if err != nil {
		return nil, t, err
	}
	began := time.Now()
	resp, err := t.run(g, req, c.workers.run)
	switch silent := time.Since(began) >= c.timeout && t.sent.Load() > 0 && !t.answer.Load(); {
	case err == nil:
		g.answered.Store(time.Now().UnixNano())
	case t.died(err), silent && g.answered.Load() <= began.UnixNano():
		// Other connections of the generation may be dead as well, or a shared connection may have stopped answering.
		g.renew()
	}
	return resp, t, err
}

// read checks an answer, and returns it if its body is complete or does not matter.
func (c *Client) read(ctx context.Context, t *trip, q request, r *response) (*response, error) {
	if c.connections.refusedByProxy(r.status) {
		return nil, c.classify(ctx, t, &proxyError{status: r.status})
	}
	r.dialect = c.speaks(q)
	c.clock.learn(r.header, r.received)
	switch {
	case r.bodyErr == nil:
	case !bodyDecides(r.status) && ctx.Err() == nil:
		r.body = nil
	case t.ended():
		return nil, c.classify(ctx, t, r.bodyErr)
	default:
		return nil, &AnswerError{Fault: Malformed, Status: r.status, Detail: "the body broke off"}
	}
	return r, nil
}

// refusedByProxy reports whether an answer is the proxy's own. For a plaintext KooDrive the proxy takes the requests,
// and 407 is always a proxy's.
func (c *connections) refusedByProxy(status int) bool {
	return c.config.Proxy != nil && c.base.Scheme != schemeHTTPS && status == http.StatusProxyAuthRequired
}

// bodyDecides reports whether the meaning of a status depends on the body.
func bodyDecides(status int) bool {
	return status == http.StatusOK || status == http.StatusBadRequest || status == http.StatusNotFound
}

// languages are the values that KooDrive documents for its header language.
var languages = []string{"en-US", "zh-CN"}

// Headers with the same values in all requests, which share them. net/http would request gzip as well, with a map of its
// own for each request.
var (
	acceptJSON = []string{"application/json"}
	acceptGzip = []string{"gzip"}
	userAgents = []string{userAgent}
)

// build returns the request to send. Only the id, the credential and the language come from the caller.
func (c *Client) build(ctx context.Context, q request) (*http.Request, error) {
	target := &url.URL{Scheme: c.base.Scheme, Host: c.base.Host, Path: q.path}
	if target.EscapedPath() != q.path {
		return nil, errors.New("building the request: it would leave KooDrive's route")
	}
	d := c.speaks(q)
	req := (&http.Request{Method: http.MethodGet, URL: target, Host: c.base.Host, Header: http.Header{
		"Accept": acceptJSON, "Accept-Encoding": acceptGzip, "User-Agent": userAgents,
	}}).WithContext(ctx)
	if q.Inspect == nil || !q.Inspect.Untraced {
		req.Header["X-Traceid"] = []string{q.Trace.header()}
	}
	if slices.Contains(languages, q.Language) {
		req.Header.Set("language", q.Language)
	}
	for _, h := range d.Headers {
		req.Header[h.Name] = []string{h.Value}
	}
	q.credential.apply(req, &c.clock, d)
	return req, nil
}

// classify turns the error of a trip into one of this package. The end of ctx takes precedence, then the timeout.
func (c *Client) classify(ctx context.Context, t *trip, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("asking KooDrive: %w", ctx.Err())
	}
	var netErr net.Error
	if t.ended() || errors.As(err, &netErr) && netErr.Timeout() {
		return &TransportError{Fault: TimedOut, Err: quotable(err)}
	}
	if fault := t.fault.Load(); fault != nil {
		return fault
	}
	var fault *AnswerError
	if errors.As(err, &fault) {
		return fault
	}
	if t.unprocessed() {
		return &TransportError{Fault: Unreachable, Err: errUnprocessed}
	}
	var proxy *proxyError
	if errors.As(err, &proxy) && proxy.refuses() {
		return &TransportError{Fault: ProxyRefused, Err: proxy}
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return &TransportError{Fault: Untrusted, Err: err}
	}
	if headerTooLarge(err) {
		return &AnswerError{Fault: TooLarge, Detail: fmt.Sprintf("the header has more than %d bytes", MaxHeader)}
	}
	return &TransportError{Fault: Unreachable, Err: quotable(err)}
}

// errUnprocessed ends an attempt whose repeats were not processed either.
var errUnprocessed = errors.New("the server refuses every request over HTTP/2: REFUSED_STREAM or GOAWAY")

// proxyError is an answer of the proxy in KooDrive's place.
type proxyError struct {
	status  int  // 0: the answer was not HTTP, or the proxy hung up.
	connect bool // The answer is to CONNECT.
}

func (e *proxyError) Error() string {
	if e.status == 0 {
		return "the proxy hung up on CONNECT, or does not speak HTTP"
	}
	if e.connect {
		return fmt.Sprintf("the proxy answered CONNECT with status %d", e.status)
	}
	return fmt.Sprintf("the proxy answered with status %d", e.status)
}

// refuses reports whether the proxy will keep refusing until its settings or kootask's change. Otherwise it cannot
// reach KooDrive now, or is overloaded.
func (e *proxyError) refuses() bool {
	return e.status != 0 && e.status < http.StatusInternalServerError &&
		e.status != http.StatusRequestTimeout && e.status != http.StatusTooManyRequests
}

// quotable returns err if it is the network's or this package's own. net/http's other errors quote the received bytes,
// which may echo a credential.
func quotable(err error) error {
	var network *net.OpError
	var name *net.DNSError
	var alert tls.AlertError
	var proxy *proxyError
	if errors.As(err, &network) || errors.As(err, &name) || errors.As(err, &alert) || errors.As(err, &proxy) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, bounded.ErrAbandoned) {
		return err
	}
	return errors.New("the connection broke, or the server does not speak HTTP")
}

// headerTooLarge recognises the transport's two errors (HTTP/1.1, HTTP/2), which have no type.
func headerTooLarge(err error) bool {
	return strings.Contains(err.Error(), "response headers exceeded") ||
		strings.Contains(err.Error(), "response header list larger than")
}
