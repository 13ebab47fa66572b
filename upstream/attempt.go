package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/bounded"
)

const (
	// MaxRepeats is how often an attempt sends its request again because KooDrive has not processed it.
	MaxRepeats = 4
	// repeatPause is how long the second of these repeats waits at least; the first one goes at once, and each later one waits
	// more than twice as long as the one before.
	repeatPause = 100 * time.Millisecond
)

// attempt makes one request and reads the answer, within the timeout.
//
// It may send the request more than once. What KooDrive says it has not processed was not a request: it is sent again up to
// MaxRepeats times. And if q asks for it, it is sent once more when a connection that was kept alive turns out to be dead.
// Each time takes its share of the rate.
func (c *Client) attempt(ctx context.Context, q request) (*response, error) {
	attempt, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for repeats, resent := 0, false; ; {
		resp, t, err := c.send(attempt, q)
		if err == nil {
			return c.read(ctx, t, resp)
		}
		switch {
		case t.unprocessed() && repeats < MaxRepeats:
			pause := repeatPause<<repeats - repeatPause
			if repeats++; c.mayRepeat(attempt, pause) {
				continue
			}
		case t.died(err):
			if q.Resend && !resent && c.mayRepeat(attempt, 0) {
				resent = true
				continue
			}
		}
		return nil, c.classify(ctx, t, err)
	}
}

// mayRepeat waits for a pause, and until the rate allows another request. It reports whether the attempt lasts so long.
func (c *Client) mayRepeat(attempt context.Context, pause time.Duration) bool {
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
func (c *Client) send(attempt context.Context, q request) (*response, *trip, error) {
	g := c.connections.enter()
	defer g.leave()
	t, ctx := begin(attempt)
	defer t.stop(nil)
	req, err := c.build(ctx, q)
	if err != nil {
		return nil, t, err
	}
	began := time.Now()
	resp, err := t.run(g, req)
	switch silent := time.Since(began) >= c.timeout && t.sent.Load() > 0 && !t.answer.Load(); {
	case err == nil:
		g.answered.Store(time.Now().UnixNano())
	case t.died(err), silent && g.answered.Load() <= began.UnixNano():
		// The others that were kept alive with it may be dead, too; and on a shared one nobody may get an answer any more.
		g.renew()
	}
	return resp, t, err
}

// read returns an answer whose body is as it should be.
func (c *Client) read(ctx context.Context, t *trip, r *response) (*response, error) {
	if c.connections.refusedByProxy(r.status) {
		return nil, c.classify(ctx, t, &proxyError{status: r.status})
	}
	c.clock.learn(r.header, r.received)
	switch {
	case r.bodyErr == nil:
	case !bodyDecides(r.status) && ctx.Err() == nil:
		r.body = nil
	case t.attempt.Err() != nil:
		return nil, c.classify(ctx, t, r.bodyErr)
	default:
		return nil, &AnswerError{Fault: Malformed, Status: r.status, Detail: "the body broke off"}
	}
	return r, nil
}

// refusedByProxy reports whether an answer with this status is that of the proxy which takes our requests: 407 is a proxy's.
func (c *connections) refusedByProxy(status int) bool {
	return c.config.Proxy != nil && c.base.Scheme != schemeHTTPS && status == http.StatusProxyAuthRequired
}

// bodyDecides reports whether only the body tells what an answer with this status means. Other statuses say enough.
func bodyDecides(status int) bool {
	return status == http.StatusOK || status == http.StatusBadRequest || status == http.StatusNotFound
}

// languages are those that KooDrive documents for its header language.
var languages = []string{"en-US", "zh-CN"}

// build returns what is sent: nothing comes from the caller but the id, the credential and the language.
func (c *Client) build(ctx context.Context, q request) (*http.Request, error) {
	target := *c.base
	target.Path = q.path
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	if req.URL.Scheme != c.base.Scheme || req.URL.Host != c.base.Host || req.Host != c.base.Host ||
		req.URL.EscapedPath() != q.path || req.URL.RawQuery != "" {
		return nil, errors.New("building the request: it would leave KooDrive's route")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("X-Traceid", q.Trace.header())
	if slices.Contains(languages, q.Language) {
		req.Header.Set("language", q.Language)
	}
	q.credential.apply(req, &c.clock)
	return req, nil
}

// classify turns the error of a trip into one of this package. A caller who left comes first, then our timeout.
func (c *Client) classify(ctx context.Context, t *trip, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("asking KooDrive: %w", ctx.Err())
	}
	var netErr net.Error
	if t.attempt.Err() != nil || errors.As(err, &netErr) && netErr.Timeout() {
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

// errUnprocessed is the end of an attempt whose repeats were of no use.
var errUnprocessed = errors.New("the server refuses every request over HTTP/2: REFUSED_STREAM or GOAWAY")

// proxyError is what a proxy answered in KooDrive's place.
type proxyError struct {
	status  int  // 0: what it answered is not HTTP, or it has hung up.
	connect bool // To CONNECT.
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

// refuses reports whether the proxy will go on so until somebody changes its settings or ours. Otherwise it cannot reach
// KooDrive now, or is overloaded.
func (e *proxyError) refuses() bool {
	return e.status != 0 && e.status < http.StatusInternalServerError &&
		e.status != http.StatusRequestTimeout && e.status != http.StatusTooManyRequests
}

// quotable returns err if it is one of the network's own, or ours. net/http's others quote what came, which may be an echo of
// what was sent.
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

// headerTooLarge knows the transport's two complaints (HTTP/1.1, HTTP/2), which have no type.
func headerTooLarge(err error) bool {
	return strings.Contains(err.Error(), "response headers exceeded") ||
		strings.Contains(err.Error(), "response header list larger than")
}
