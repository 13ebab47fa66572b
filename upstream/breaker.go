package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
)

// When KooDrive is given a rest: when BreakerShare of at least BreakerAttempts requests within BreakerWindow have failed. It
// lasts for BreakerPause.
const (
	BreakerShare    = 0.5
	BreakerAttempts = 20
	BreakerWindow   = 10 * time.Second
	BreakerPause    = 5 * time.Second
)

// CircuitOpenError means that KooDrive was not asked: it has failed so often that it is given a rest.
type CircuitOpenError struct {
	// RetryAfter is when it is asked again.
	RetryAfter time.Duration
}

func (e *CircuitOpenError) Error() string {
	return fmt.Sprintf("KooDrive is given a rest for %v", e.RetryAfter.Round(time.Millisecond))
}

// breaker gives KooDrive a rest. What it counts is whether KooDrive works: an answer with a task says yes; no answer, a 5xx
// and one that cannot be read say no; and what depends on the caller, a refusal or one who left, says neither. A library's
// breaker knows only yes and no, so the third kind is kept from it here.
type breaker struct {
	circuit circuitbreaker.CircuitBreaker[any]
}

func newBreaker(resting func(bool)) *breaker {
	if resting == nil {
		resting = func(bool) {}
	}
	return &breaker{circuitbreaker.NewBuilder[any]().
		OnOpen(func(circuitbreaker.StateChangedEvent) { resting(true) }).
		OnClose(func(circuitbreaker.StateChangedEvent) { resting(false) }).
		WithFailureRateThreshold(BreakerShare, BreakerAttempts, BreakerWindow).
		WithDelay(BreakerPause).
		WithSuccessThreshold(1).
		Build()}
}

// admit returns what to do with the result of a request, or why there must be none.
func (b *breaker) admit() (record func(error), err error) {
	if !b.circuit.TryAcquirePermit() {
		return nil, &CircuitOpenError{RetryAfter: b.circuit.RemainingDelay()}
	}
	probes := b.circuit.IsHalfOpen()
	return func(err error) {
		halfOpen := b.circuit.IsHalfOpen()
		switch works, tells := tells(err); {
		case halfOpen && !probes: // It was sent before the rest: the probe decides.
		case tells && works:
			b.circuit.RecordSuccess()
		case tells:
			b.circuit.RecordFailure()
		case halfOpen: // The probe told nothing: the next request is one.
			b.circuit.Open()
			b.circuit.HalfOpen()
		}
	}, nil
}

// rests returns an error while KooDrive is given a rest that is not over yet.
func (b *breaker) rests() error {
	if left := b.circuit.RemainingDelay(); b.circuit.IsOpen() && left > 0 {
		return &CircuitOpenError{RetryAfter: left}
	}
	return nil
}

// tells is what the end of a request tells of KooDrive: whether it works, if it tells anything.
func tells(err error) (works, tells bool) {
	var status *StatusError
	var answer *AnswerError
	var transport *TransportError
	switch {
	case err == nil:
		return true, true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &transport):
		return false, false
	case errors.As(err, &status):
		return false, status.Status >= http.StatusInternalServerError
	case errors.As(err, &answer):
		return false, answer.Fault == Malformed
	case errors.As(err, &transport):
		return false, transport.Fault != Untrusted
	default:
		return false, false
	}
}
