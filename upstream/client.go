package upstream

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"time"

	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/internal/version"
)

// taskPath is the path below which KooDrive describes tasks. No other path is requested.
const taskPath = "/koodrive/ose/v1/task/"

// userAgent is the User-Agent of requests to KooDrive and its proxy.
var userAgent = "kootask/" + version.String()

// Client requests tasks from KooDrive. It is safe for concurrent use.
type Client struct {
	base        *url.URL
	origin      string // base as a text.
	timeout     time.Duration
	connections *connections
	clock       clock
	workers     *workers
	alarms      alarms
	limiter     *limiter
	breaker     *breaker
	pauses      pauses
	keys        *secret.Hasher
	dialect     *Dialect
}

// NewClient returns a Client for the KooDrive of config. It does not connect.
func NewClient(config Config) (*Client, error) {
	base, err := config.origin()
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, origin: base.String(), timeout: config.Timeout, connections: newConnections(config, base),
		workers: newWorkers(), keys: secret.NewHasher(), dialect: cmp.Or(config.Dialect, Documented()),
	}
	c.limiter = newLimiter(cmp.Or(config.PerSecond, DefaultPerSecond), config.atOnce(), c.workers.run)
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

// Timeout returns the limit of one request, including its body.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Close closes the connections and ends the goroutines. Call it when no request is in flight.
func (c *Client) Close() {
	c.workers.close()
	c.connections.renew()
}

// Begin requests the description of a task, and calls then once with the result: in a goroutine of its own, or before
// Begin returns. It does not block. The request first waits in its queue until ctx ends; the timeout does not include
// that wait. Only once the request is sent does it have a goroutine.
//
// It fails with a [*CircuitOpenError] if too many requests have failed, a [*TransportError] if no answer came, a
// [*StatusError] if KooDrive refused the request or an earlier Retry-After still applies to the credential, an
// [*AnswerError] if the answer is invalid, and ctx's own error if ctx ended first.
//
// KooDrive processes the request at most once (but see [Call.Resend]), unless it refuses the signature of an [App]. If
// its Date shows that this clock is to blame, the request is signed and sent once more. If KooDrive still refuses it
// and the App has a second secret, it is sent once with that.
func (c *Client) Begin(ctx context.Context, q Query, call Call, then func(Task, error)) {
	ask(ctx, c, request{Query: q, Call: call, path: taskPath + q.taskID}, (*response).task, then)
}

// Task is [Client.Begin] for callers that wait for the result.
func (c *Client) Task(ctx context.Context, q Query, call Call) (Task, error) {
	type result struct {
		task Task
		err  error
	}
	done := make(chan result, 1)
	c.Begin(ctx, q, call, func(task Task, err error) { done <- result{task, err} })
	r := <-done
	return r.task, r.err
}

// request is a call with its path.
type request struct {
	Query
	Call
	path string
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

// refusesSignature reports whether KooDrive refused a request for its signature alone.
func refusesSignature(err error) bool {
	var refusal *StatusError
	return errors.As(err, &refusal) && refusal.refusesCredential()
}
