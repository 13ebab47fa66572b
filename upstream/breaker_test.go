package upstream

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// results are the ends of requests, by what they tell.
var (
	failures = []error{
		&TransportError{Fault: TimedOut}, &TransportError{Fault: Unreachable}, &StatusError{Status: 500}, &StatusError{Status: 503},
		&AnswerError{Fault: Malformed}, &TransportError{Fault: TimedOut, Err: context.DeadlineExceeded},
	}
	neutral = []error{
		&StatusError{Status: 401}, &StatusError{Status: 404}, &StatusError{Status: 400, Code: "13000309"}, &StatusError{Status: 429},
		&AnswerError{Fault: WrongTask}, &TransportError{Fault: Untrusted}, fmt.Errorf("asking: %w", context.Canceled),
		fmt.Errorf("asking: %w", context.DeadlineExceeded), errNoCredential,
	}
)

// send makes a request that ends with err, and reports whether it was admitted.
func send(b *breaker, err error) bool {
	record, refused := b.admit()
	if refused == nil {
		record(err)
	}
	return refused == nil
}

func TestWhatOpensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, failure := range failures {
			b := newBreaker(nil)
			for i := range BreakerAttempts {
				if !send(b, failure) {
					t.Errorf("%v: open after %d", failure, i)
				}
			}
			if send(b, failure) {
				t.Errorf("%v: closed after %d", failure, BreakerAttempts)
			}
		}
		for _, nothing := range neutral {
			b := newBreaker(nil)
			for range 10_000 {
				if !send(b, nothing) {
					t.Fatalf("%v opens it", nothing)
				}
			}
		}
	})
}

// An outage opens it although half of the answers are refusals, which would look like successes.
func TestRefusalsDoNotHideAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for range BreakerAttempts {
			send(b, failures[0])
			send(b, neutral[1])
		}
		var resting *CircuitOpenError
		if _, err := b.admit(); !errors.As(err, &resting) || resting.RetryAfter != BreakerPause {
			t.Errorf("got %v", err)
		}
	})
}

func TestTheProbeDecides(t *testing.T) {
	open := func() *breaker {
		b := newBreaker(nil)
		for range BreakerAttempts {
			send(b, failures[0])
		}
		return b
	}
	synctest.Test(t, func(t *testing.T) {
		b := open()
		time.Sleep(BreakerPause)
		probe, err := b.admit()
		if err != nil {
			t.Fatal(err)
		}
		if send(b, nil) {
			t.Error("two probes at once")
		}
		probe(nil)
		if !send(b, nil) {
			t.Error("a probe that succeeds does not close it")
		}

		b = open()
		time.Sleep(BreakerPause)
		if !send(b, failures[0]) || send(b, nil) {
			t.Error("a probe that fails does not open it again")
		}
		time.Sleep(BreakerPause)
		for _, nothing := range neutral { // Each leaves room for the next probe.
			if !send(b, nothing) {
				t.Errorf("a probe that ends with %v holds its place", nothing)
			}
		}
		for range 2 {
			if !send(b, nil) {
				t.Error("it does not close")
			}
		}
	})
}

// What was sent before the rest and ends after it decides nothing.
func TestStragglersDecideNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		straggler, err := b.admit()
		if err != nil {
			t.Fatal(err)
		}
		for range BreakerAttempts {
			send(b, failures[0])
		}
		time.Sleep(BreakerPause)
		probe, err := b.admit()
		if err != nil {
			t.Fatal(err)
		}
		straggler(nil)
		if !b.circuit.IsHalfOpen() {
			t.Error("it decided")
		}
		probe(failures[0])
		if !b.circuit.IsOpen() {
			t.Error("the probe did not")
		}
	})
}

// A request that panics gives its permit back, and tells nothing.
func TestPanicLeavesTheBreakerAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewClient(Config{BaseURL: "https://koodrive.test"})
		if err != nil {
			t.Fatal(err)
		}
		for range BreakerAttempts {
			send(c.breaker, failures[0])
		}
		time.Sleep(BreakerPause)
		credential, err := Forward(NewSecret("a"), "", "")
		if err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			_, _ = c.Task(t.Context(), Query{Credential: credential, TaskID: "9", Begun: func() { panic("secret") }})
		}()
		if !send(c.breaker, nil) || !c.breaker.circuit.IsClosed() {
			t.Error("the probe that panicked holds its place")
		}
		if c.limiter.inFlight != 0 {
			t.Errorf("%d permits are lost", c.limiter.inFlight)
		}
	})
}
