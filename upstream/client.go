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
	c.breaker = newBreaker(func(down bool) {
		if down { // Others may reach a KooDrive that works.
			c.connections.renew()
		}
		if config.OutageChanged != nil {
			config.OutageChanged(down)
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

// Task asks KooDrive how a task stands. It first waits in its queue for as long as ctx lasts, which is not part of the timeout.
//
// It fails with the error of [Call.Due], a [*CircuitOpenError] if too many requests have failed, a [*TransportError] if no answer
// came, a [*StatusError] if KooDrive refused (or has sent Retry-After to the holder of the credential, and the time is not over), an
// [*AnswerError] if the answer cannot be believed, and ctx's own error if ctx ended first.
//
// One call is one request that KooDrive may process (see [Call.Resend]), unless KooDrive refuses a signature of an [App]: if its Date
// shows that our clock is to blame, the request is signed and sent once more, and if KooDrive still refuses it and the App has a second
// secret, once with that.
func (c *Client) Task(ctx context.Context, q Query, call Call) (task Task, err error) {
	err = c.ask(ctx, request{Query: q, Call: call, path: taskPath + q.taskID}, func(r *response) (err error) {
		task, err = r.task(q.taskID)
		return err
	})
	return task, err
}

// request is a call with the path that it asks for.
type request struct {
	Query
	Call
	path string
}

// ask makes a request whose answer decode reads.
//
//  1. Neither KooDrive's Retry-After nor a circuit withholds it, and the caller agrees (Due).
//  2. It waits in its queue.
//  3. Both are checked again: a circuit may have opened meanwhile.
//  4. It is signed and sent. The steps from 2 are repeated if KooDrive refuses the signature of an app.
func (c *Client) ask(ctx context.Context, q request, decode func(*response) error) (err error) {
	if q.credential.app != nil {
		c.pauses.asks(q.caller)
	}
	if err := c.pauses.check(q.quota, q.caller); err != nil {
		return err
	}
	entered, err := c.breaker.enter(q.votes())
	if err != nil {
		return err
	}
	err = errPanicked // Tells the breaker nothing, but gives its permit back.
	defer func() { entered.end(err) }()
	if q.Due != nil {
		if err = q.Due(); err != nil {
			return err
		}
	}
	err = c.signed(ctx, q, entered, decode)
	return err
}

// votes says for whom the request counts in the breaker.
func (q request) votes() voter { return voter{caller: q.caller, queue: q.Queue, task: q.path} }

// Withheld reports whether a query would not be sent now, because a circuit is open or KooDrive has asked to wait.
func (c *Client) Withheld(q Query, queue Key) bool {
	return c.pauses.check(q.quota, q.caller) != nil || c.breaker.check(voter{caller: q.caller, queue: queue}) != nil
}

// signed makes the request, and those that follow if KooDrive refuses the signature of an app.
func (c *Client) signed(ctx context.Context, q request, entered *entry, decode func(*response) error) error {
	redated := false
	for all := q.credential.signing(); ; {
		q.credential = all[0]
		misdated, err := c.queued(ctx, q, entered, decode)
		switch {
		case misdated && !redated:
			redated = true
		case len(all) > 1 && refusesSignature(err):
			all = all[1:]
		default:
			return err
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

// queued makes an attempt when the queue has come to it. The request is signed after that. It reports whether KooDrive refused
// it for the date of an app's signature, which another one would have right.
func (c *Client) queued(ctx context.Context, q request, entered *entry, decode func(*response) error) (misdated bool, err error) {
	if err := c.limiter.acquire(ctx, q.Queue); err != nil {
		return false, fmt.Errorf("waiting to ask KooDrive: %w", err)
	}
	defer c.limiter.release(q.Queue)
	if err := c.pauses.check(q.quota, q.caller); err != nil {
		return false, err
	}
	if err := entered.check(); err != nil {
		return false, err
	}
	entered.sent = true
	sent := time.Now()
	if q.Begun != nil {
		q.Begun()
	}
	resp, err := c.attempt(ctx, q)
	if err == nil {
		misdated = q.credential.app != nil && isRefusal(resp.status) && explains(resp.header, resp.xDate)
		err = decode(resp)
	}
	c.pauses.learn(q.quota, q.caller, sent, err)
	if q.Ended != nil {
		q.Ended(err)
	}
	return misdated, err
}
