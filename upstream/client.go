package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/kootask/kootask/internal/secret"
)

// taskPath is the path below which KooDrive describes tasks. No other path is requested.
const taskPath = "/koodrive/ose/v1/task/"

// userAgent is the User-Agent of requests to KooDrive.
const userAgent = "kootask"

// Client requests tasks from KooDrive. It is safe for concurrent use.
type Client struct {
	base        *url.URL
	origin      string // base as a text.
	timeout     time.Duration
	connections *connections
	clock       clock
	limiter     *limiter
	breaker     *breaker
	pauses      pauses
	keys        *secret.Hasher
}

// NewClient returns a Client for the KooDrive of config. It does not connect.
func NewClient(config Config) (*Client, error) {
	base, err := config.origin()
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, origin: base.String(), timeout: config.Timeout, connections: newConnections(config, base),
		limiter: newLimiter(cmp.Or(config.PerSecond, DefaultPerSecond), config.atOnce()),
		keys:    secret.NewHasher(),
	}
	c.breaker = newBreaker(func(down bool) {
		if down { // New connections may reach a KooDrive server that works.
			c.connections.renew()
		}
		if config.OutageChanged != nil {
			config.OutageChanged(down)
		}
	})
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	return c, nil
}

// Close closes the connections. Call it when no request is in flight.
func (c *Client) Close() { c.connections.renew() }

// Task requests the description of a task. It first waits in its queue until ctx ends; the timeout does not include
// that wait.
//
// It fails with a [*CircuitOpenError] if too many requests have failed, a [*TransportError] if no answer came, a
// [*StatusError] if KooDrive refused the request or an earlier Retry-After still applies to the credential, an
// [*AnswerError] if the answer is invalid, and ctx's own error if ctx ended first.
//
// KooDrive processes the request at most once (but see [Call.Resend]), unless it refuses the signature of an [App]. If
// its Date shows that this clock is to blame, the request is signed and sent once more. If KooDrive still refuses it
// and the App has a second secret, it is sent once with that.
func (c *Client) Task(ctx context.Context, q Query, call Call) (task Task, err error) {
	err = c.ask(ctx, request{Query: q, Call: call, path: taskPath + q.taskID}, func(r *response) (err error) {
		task, err = r.task(q.taskID)
		return err
	})
	return task, err
}

// request is a call with its path.
type request struct {
	Query
	Call
	path string
}

// ask makes a request. decode reads the answer.
//
//  1. Neither Retry-After nor an open circuit may withhold it.
//  2. It waits in its queue.
//  3. Retry-After and the circuits are checked again: a circuit may have opened in the meantime.
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
	err = errPanicked // Replaced, unless there is a panic: the breaker must get its permit back.
	defer func() { entered.end(err) }()
	err = c.signed(ctx, q, entered, decode)
	return err
}

// votes returns the identity of the request in the breaker.
func (q request) votes() voter { return voter{caller: q.caller, queue: q.Queue, task: q.path} }

// Accept moves the waiting requests of a query's Caller, whom KooDrive has answered, from the queue of an address to the
// caller's own. Requests that come later name that queue themselves: see [Call].
func (c *Client) Accept(q Query, address Key) { c.limiter.accept(q.caller, address) }

// Withheld reports whether a query would not be sent now, because a circuit is open or KooDrive has sent Retry-After.
func (c *Client) Withheld(q Query, queue Key) bool {
	return c.pauses.check(q.quota, q.caller) != nil || c.breaker.check(voter{caller: q.caller, queue: queue}) != nil
}

// signed sends the request, and repeats it if KooDrive refuses the signature of an app.
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

// refusesSignature reports whether KooDrive refused a request for its signature alone. It documents 401 and 400 for
// that.
func refusesSignature(err error) bool {
	var refusal *StatusError
	return errors.As(err, &refusal) &&
		(refusal.Status == http.StatusUnauthorized || refusal.Status == http.StatusBadRequest && refusal.Code == "")
}

// isRefusal reports whether status may mean that KooDrive does not accept a signature: see refusesSignature.
func isRefusal(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusBadRequest
}

// queued waits in the queue, then signs the request and makes an attempt. misdated reports that KooDrive refused an
// app's signature for its date, which a new signature would correct.
func (c *Client) queued(ctx context.Context, q request, entered *entry, decode func(*response) error) (misdated bool, err error) {
	permit, err := c.limiter.acquire(ctx, place{caller: q.caller, queue: q.Queue, yield: q.Yield})
	if err != nil {
		return false, fmt.Errorf("waiting to ask KooDrive: %w", err)
	}
	defer c.limiter.release(permit)
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
