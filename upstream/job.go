package upstream

import (
	"context"
	"fmt"
	"time"

	"github.com/kootask/kootask/internal/panics"
)

// job is a request on its way from the queue to its result:
//
//  1. Neither Retry-After nor an open circuit may withhold it.
//  2. It waits in its queue, without a goroutine.
//  3. Retry-After and the circuits are checked again: a circuit may have opened in the meantime.
//  4. It is signed and sent. The steps from 2 are repeated if KooDrive refuses the signature of an app.
//
// Only the request's path and decode depend on the kind of request.
type job[T any] struct {
	request
	client      *Client
	ctx         context.Context
	entered     *entry
	credentials []Credential // The signatures to try.
	redated     bool         // The first of them was signed again, for another date.
	decode      decoder[T]
	answer      T
	then        func(T, error)
}

// decoder reads the answer to the request for a task.
type decoder[T any] func(r *response, taskID string) (T, error)

// ask makes a request, and calls then with its decoded answer.
func ask[T any](ctx context.Context, c *Client, q request, decode decoder[T], then func(T, error)) {
	var none T
	if q.credential.app != nil {
		c.pauses.asks(q.caller)
	}
	if !q.Checked {
		if err := c.pauses.check(q.quota, q.caller); err != nil {
			then(none, err)
			return
		}
	}
	entered, err := c.breaker.enter(q.votes())
	if err != nil {
		then(none, err)
		return
	}
	j := &job[T]{
		request: q, client: c, ctx: ctx, entered: entered, credentials: q.credential.signing(), decode: decode, then: then,
	}
	j.queue()
}

// queue waits for a permit.
func (j *job[T]) queue() {
	j.client.limiter.acquire(j.ctx, place{caller: j.caller, queue: j.Queue, yield: j.Yield}, j.leave)
}

// leave continues when the wait in the queue is over. permit is nil if ctx has ended.
func (j *job[T]) leave(permit *queue) {
	if again, err := j.try(permit); again {
		j.queue()
	} else {
		j.then(j.answer, err)
	}
}

// try makes an attempt, and reports whether another one may succeed. A panic becomes an error.
func (j *job[T]) try(permit *queue) (again bool, err error) {
	defer panics.Recover(&err, "while asking KooDrive")
	err = errPanicked // Replaced, unless there is a panic: the breaker must get its permit back.
	defer func() {
		if !again {
			j.entered.end(err)
		}
	}()
	if permit != nil {
		defer j.client.limiter.release(permit)
	}
	if j.ctx.Err() != nil {
		return false, fmt.Errorf("waiting to ask KooDrive: %w", j.ctx.Err())
	}
	j.credential = j.credentials[0]
	misdated, err := j.send()
	switch {
	case j.Inspect != nil:
		return false, err
	case misdated && !j.redated:
		j.redated = true
	case len(j.credentials) > 1 && refusesSignature(err):
		j.credentials = j.credentials[1:]
	default:
		return false, err
	}
	return true, nil
}

// send signs the request and makes an attempt. misdated reports that KooDrive refused an app's signature for its date,
// which a new signature would correct.
func (j *job[T]) send() (misdated bool, err error) {
	c := j.client
	if err := c.pauses.check(j.quota, j.caller); err != nil {
		return false, err
	}
	if err := j.entered.check(); err != nil {
		return false, err
	}
	j.entered.sent = true
	sent := time.Now()
	if j.Begun != nil {
		j.Begun()
	}
	resp, err := c.attempt(j.ctx, j.request)
	if err == nil {
		j.see(resp)
		j.answer, err = j.decode(resp, j.taskID)
		misdated = err != nil && j.credential.isDated(c.dialect) && mayRefuseDate(err) && explains(resp.header, resp.xDate)
	}
	c.pauses.learn(j.quota, j.caller, sent, err)
	if j.Ended != nil {
		j.Ended(err)
	}
	return misdated, err
}
