package upstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// taskPath is where KooDrive describes a task: the one path that is ever asked for.
const taskPath = "/koodrive/ose/v1/task/"

// Client asks KooDrive. It is safe for concurrent use.
type Client struct {
	base      *url.URL
	timeout   time.Duration
	transport *http.Transport
	clock     clock
	limiter   *limiter
	breaker   *breaker
	pauses    pauses
	keySecret [32]byte
}

// NewClient returns a Client for the KooDrive of config. It does not connect.
func NewClient(config Config) (*Client, error) {
	base, err := config.origin()
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, timeout: config.Timeout, transport: config.transport(),
		limiter: newLimiter(cmp.Or(config.PerSecond, DefaultPerSecond), cmp.Or(config.AtOnce, DefaultAtOnce)),
		breaker: newBreaker(config.Resting),
	}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	_, _ = rand.Read(c.keySecret[:])
	return c, nil
}

// Close closes the connections that are idle. Call it when no request is under way.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Task asks KooDrive how a task stands. It first waits for its turn, for as long as ctx lasts: that is no part of the
// timeout.
//
// It fails with a [*TaskIDError] before anything is sent, a [*CircuitOpenError] if too many requests have failed, a
// [*TransportError] if no answer came, a [*StatusError] if KooDrive refused (or has asked whoever has the credential to wait,
// and the time is not over), an [*AnswerError] if what it said cannot be believed, and ctx's own error if ctx ended first.
//
// One call is one request, unless KooDrive refuses a signature of an [App]: if its Date shows that our clock is to blame, the
// request is signed and sent once more, and if it refuses still and the App has a second secret, once with that.
func (c *Client) Task(ctx context.Context, q Query) (task Task, err error) {
	if err := CheckTaskID(q.TaskID); err != nil {
		return Task{}, err
	}
	if q.Credential.missing() {
		return Task{}, errNoCredential
	}
	if q.Credential.app != nil {
		c.pauses.asks(q.Caller)
	}
	if err := c.pauses.check(c.appKey(q), q.Caller); err != nil {
		return Task{}, err
	}
	admitted, err := c.breaker.admit(q)
	if err != nil {
		return Task{}, err
	}
	err = errPanicked // Tells the breaker nothing, but gives its permit back.
	defer func() { admitted.end(err) }()
	task, err = c.ask(ctx, q, admitted)
	return task, err
}

// Withheld reports whether a query would not be made now, because a circuit is open or KooDrive has asked to wait.
func (c *Client) Withheld(q Query) bool {
	return c.pauses.check(c.appKey(q), q.Caller) != nil || c.breaker.check(q) != nil
}

// appKey is what KooDrive counts the requests of an app by; zero for callers with credentials of their own.
func (c *Client) appKey(q Query) Key {
	if q.Credential.app == nil {
		return Key{}
	}
	return c.hash([]string{"app", q.Credential.app.ID})
}

// ask makes the request, and those that follow if KooDrive refuses the signature of an app.
func (c *Client) ask(ctx context.Context, q Query, admitted *admission) (Task, error) {
	redated := false
	for all := q.Credential.signing(); ; {
		q.Credential = all[0]
		task, misdated, err := c.permitted(ctx, q, admitted)
		switch {
		case misdated && !redated:
			redated = true
		case len(all) > 1 && refusesSignature(err):
			all = all[1:]
		default:
			return task, err
		}
	}
}

// refusesSignature reports whether KooDrive refused a request for its signature, and nothing else: it documents 400 for that, too.
func refusesSignature(err error) bool {
	var refusal *StatusError
	return errors.As(err, &refusal) &&
		(refusal.Status == http.StatusUnauthorized || refusal.Status == http.StatusBadRequest && refusal.Code == "")
}

// isRefusal reports whether KooDrive may say with status that it does not accept a signature: it documents both.
func isRefusal(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusBadRequest
}

// response is an answer whose body was read.
type response struct {
	status int
	header http.Header
	xDate  string // That of the request.
	body   []byte // At most one byte more than MaxBody.
}

// permitted makes an attempt when its turn has come. The request is signed after that. It reports whether KooDrive refused
// it for the date of an app's signature, which another one would have right.
func (c *Client) permitted(ctx context.Context, q Query, admitted *admission) (task Task, misdated bool, err error) {
	if err := c.limiter.acquire(ctx, q.Turn); err != nil {
		return Task{}, false, fmt.Errorf("waiting to ask KooDrive: %w", err)
	}
	defer c.limiter.release(q.Turn)
	// A circuit may have opened, or KooDrive may have asked to wait, while this one waited.
	if err := c.pauses.check(c.appKey(q), q.Caller); err != nil {
		return Task{}, false, err
	}
	if err := admitted.check(); err != nil {
		return Task{}, false, err
	}
	sent := time.Now()
	if q.Begun != nil {
		q.Begun()
	}
	resp, err := c.attempt(ctx, q)
	if err == nil {
		misdated = q.Credential.app != nil && isRefusal(resp.status) && explains(resp.header, resp.xDate)
		task, err = resp.task(q.TaskID)
	}
	c.pauses.learn(c.appKey(q), q.Caller, sent, err)
	if q.Ended != nil {
		q.Ended(err)
	}
	return task, misdated, err
}

// attempt sends one request and reads the answer, within the timeout.
func (c *Client) attempt(ctx context.Context, q Query) (*response, error) {
	attempt, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := c.request(attempt, q)
	if err != nil {
		return nil, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, classify(ctx, attempt, err)
	}
	defer func() { _ = resp.Body.Close() }()
	c.clock.learn(resp.Header, time.Now())

	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxBody+1))
	switch {
	case err == nil:
	case !bodyDecides(resp.StatusCode) && ctx.Err() == nil:
		body = nil
	default:
		if attempt.Err() != nil {
			return nil, classify(ctx, attempt, err)
		}
		return nil, &AnswerError{Fault: Malformed, Status: resp.StatusCode, Detail: "the body broke off"}
	}
	return &response{
		status: resp.StatusCode, header: resp.Header, xDate: req.Header.Get(HeaderDate), body: body,
	}, nil
}

// bodyDecides reports whether only the body tells what an answer with this status means. Other statuses say enough.
func bodyDecides(status int) bool {
	return status == http.StatusOK || status == http.StatusBadRequest || status == http.StatusNotFound
}

// noBody is an empty body that is none to the transport: it repeats a GET without a body by itself when a connection
// that was kept alive turns out to be dead, and so makes two requests of one.
type noBody struct{}

func (noBody) Read([]byte) (int, error) { return 0, io.EOF }
func (noBody) Close() error             { return nil }

// request builds what is sent: nothing comes from the caller but the id, the credential and the language.
func (c *Client) request(ctx context.Context, q Query) (*http.Request, error) {
	target := *c.base
	target.Path = taskPath + q.TaskID
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), noBody{})
	if err != nil {
		return nil, fmt.Errorf("building the request: %w", err)
	}
	if req.URL.Scheme != c.base.Scheme || req.URL.Host != c.base.Host || req.Host != c.base.Host ||
		req.URL.EscapedPath() != taskPath+q.TaskID || req.URL.RawQuery != "" {
		return nil, errors.New("building the request: it would leave KooDrive's task route")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "kootask")
	req.Header.Set("X-Traceid", q.Trace.header())
	if q.Language != "" {
		req.Header.Set("language", q.Language)
	}
	q.Credential.apply(req, &c.clock)
	return req, nil
}

// classify turns an error of the transport into one of this package. A caller who left comes first, then our timeout.
func classify(ctx, attempt context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("asking KooDrive: %w", ctx.Err())
	}
	var netErr net.Error
	if attempt.Err() != nil || errors.As(err, &netErr) && netErr.Timeout() {
		return &TransportError{Fault: TimedOut, Err: err}
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

// quotable returns err if it is one of the network's own. net/http's others quote what came, which may be an echo of
// what was sent.
func quotable(err error) error {
	var network *net.OpError
	var name *net.DNSError
	var alert tls.AlertError
	if errors.As(err, &network) || errors.As(err, &name) || errors.As(err, &alert) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return errors.New("the connection broke, or what answers does not speak HTTP")
}

// headerTooLarge knows the transport's two complaints (HTTP/1.1, HTTP/2), which have no type.
func headerTooLarge(err error) bool {
	return strings.Contains(err.Error(), "response headers exceeded") ||
		strings.Contains(err.Error(), "response header list larger than")
}
