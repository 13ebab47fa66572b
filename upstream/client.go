package upstream

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// taskPath is where KooDrive describes a task: the one path that is ever asked for.
const taskPath = "/koodrive/ose/v1/task/"

// userAgent is how we introduce ourselves.
const userAgent = "kootask"

// Client asks KooDrive. It is safe for concurrent use.
type Client struct {
	base        *url.URL
	timeout     time.Duration
	connections *connections
	clock       clock
	limiter     *limiter
	breaker     *breaker
	pauses      pauses
	keySecret   [32]byte
}

// NewClient returns a Client for the KooDrive of config. It does not connect.
func NewClient(config Config) (*Client, error) {
	base, err := config.origin()
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, timeout: config.Timeout, connections: newConnections(config, base),
		limiter: newLimiter(cmp.Or(config.PerSecond, DefaultPerSecond), config.atOnce()),
	}
	c.breaker = newBreaker(func(rests bool) {
		if rests { // Others may reach a KooDrive that works.
			c.connections.renew()
		}
		if config.Resting != nil {
			config.Resting(rests)
		}
	})
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	_, _ = rand.Read(c.keySecret[:])
	return c, nil
}

// Close closes the connections. Call it when no request is in flight.
func (c *Client) Close() { c.connections.renew() }

// Task asks KooDrive how a task stands. It first waits for its turn, for as long as ctx lasts: that is no part of the
// timeout.
//
// It fails with a [*TaskIDError] before anything is sent, a [*CircuitOpenError] if too many requests have failed, a
// [*TransportError] if no answer came, a [*StatusError] if KooDrive refused (or has asked whoever has the credential to wait,
// and the time is not over), an [*AnswerError] if what it said cannot be believed, and ctx's own error if ctx ended first.
//
// One call is one request that KooDrive may process (see [Query.Resend]), unless KooDrive refuses a signature of an [App]: if its Date shows that our clock is to blame, the
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
	admitted.sent = true
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
