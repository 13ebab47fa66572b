package upstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/secret"
)

func TestFailuresOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, failure := range failures {
			b := newBreaker(nil)
			for i := range BreakerAttempts {
				if !send(b, of(1, "a"), failure) {
					t.Errorf("%v: open after %d", failure, i)
				}
			}
			if send(b, of(1, "a"), failure) {
				t.Errorf("%v: closed after %d", failure, BreakerAttempts)
			}
		}
		for _, nothing := range neutral {
			b := newBreaker(nil)
			for i := range 10_000 {
				if !send(b, of(1, fmt.Sprint(i%7)), nothing) {
					t.Fatalf("%v opens it", nothing)
				}
			}
		}
	})
}

// An outage opens a circuit although half of the answers are refusals, which would look like successes.
func TestRefusalsDoNotHideAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for range BreakerAttempts {
			send(b, of(1, "a"), failure)
			send(b, of(1, "a"), neutral[1])
		}
		var open *CircuitOpenError
		if _, err := b.enter(of(1, "a")); !errors.As(err, &open) || open.RetryAfter != BreakerPause || open.Scope != scopeCaller {
			t.Errorf("got %v", err)
		}
	})
}

// Failures of an earlier window do not count.
func TestOldFailuresDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for i := range 10 * BreakerAttempts {
			if !send(b, of(1, "a"), failure) {
				t.Fatalf("request %d is refused", i)
			}
			time.Sleep(BreakerWindow / (BreakerAttempts - 2))
		}
	})
}

// A request that was admitted but not sent, because of a Retry-After, is not a failure.
func TestWithheldRequestsAreNotFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for range 10 * BreakerAttempts {
			admitted, err := b.enter(of(1, "a"))
			if err != nil {
				t.Fatal(err)
			}
			admitted.end(&StatusError{Status: 503, RetryAfter: time.Second})
		}
	})
}

// One caller's loop does not open the common circuit while other callers, who send few requests, are answered.
func TestALoopIsNotAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for i := range 10 {
			send(b, of(10+i, "good"), nil)
		}
		fail(t, b, func(task string) voter { return of(1, task) }, 5)
		if down, open := b.state(); down || open != 1 {
			t.Errorf("KooDrive counts as down: %v, %d circuits are open", down, open)
		}
	})
}

// A request that was sent before a circuit opened and ends after that changes nothing. One that was admitted and not yet sent is
// not sent.
func TestStragglersDecideNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		straggler, err := b.enter(of(1, "a"))
		if err != nil {
			t.Fatal(err)
		}
		fail(t, b, func(task string) voter { return of(1, task) }, 1)
		var open *CircuitOpenError
		if err := straggler.check(); !errors.As(err, &open) {
			t.Errorf("it is sent: %v", err)
		}
		time.Sleep(BreakerPause)
		probe, err := b.enter(of(1, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if err := probe.check(); err != nil {
			t.Errorf("the probe is not sent: %v", err)
		}
		straggler.sent = true
		straggler.end(nil)
		if send(b, of(1, "a"), nil) {
			t.Error("it decided")
		}
		probe.sent = true
		probe.end(failure)
		if send(b, of(1, "a"), nil) {
			t.Error("the probe did not")
		}
	})
}

// The breaker's memory is bounded by the requests of one window, however many callers there are.
func TestBreakerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, most := newBreaker(nil), 0
		for i := range 20_000 {
			// Every tenth caller fails often enough to open its circuit, and never comes back.
			for range 1 + i%10/9*BreakerAttempts {
				send(b, at(i, i, "a"), failure)
			}
			time.Sleep(20 * time.Millisecond)
			most = max(most, len(b.circuits), len(b.window))
		}
		// In the window and the pauses after it, 50 callers a second with three attempts each, and two circuits each.
		if limit := 50 * 3 * int((BreakerWindow*2+BreakerPause)/time.Second); most > limit {
			t.Errorf("it holds %d attempts or circuits, want at most %d", most, limit)
		}
		time.Sleep(2*BreakerWindow + BreakerPause)
		if _, open := b.state(); open != 0 || len(b.circuits) != 0 || len(b.window) != 0 || b.votes.all != 0 || b.votes.failing != 0 {
			t.Errorf("left: %d circuits, %d attempts, %d open, votes %+v", len(b.circuits), len(b.window), open, b.votes)
		}
	})
}

// A burst leaves no large window behind.
func TestTheWindowShrinksAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for range 20_000 {
			send(b, of(1, "a"), nil)
		}
		for range 200 {
			time.Sleep(BreakerWindow / 100)
			send(b, of(1, "a"), nil)
		}
		if attempts, most := len(b.window)-b.gone, 1000; attempts != 100 || cap(b.window) > most {
			t.Errorf("it holds %d attempts in a window of %d, want 100 in one of at most %d", attempts, cap(b.window), most)
		}
	})
}

// A request that panics returns its permit and counts neither as a success nor as a failure.
func TestPanicLeavesTheBreakerAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewClient(Config{BaseURL: "https://koodrive.test"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fail(t, c.breaker, func(task string) voter { return of(1, task) }, 1)
		time.Sleep(BreakerPause)
		credential, err := Forward(secret.New("a"), "", "")
		if err != nil {
			t.Fatal(err)
		}
		q, err := c.Query(credential, "9")
		if err != nil {
			t.Fatal(err)
		}
		q.caller = numbered(1)
		_, err = c.Task(t.Context(), q, Call{Queue: q.caller, Begun: func() { panic("secret") }})
		if err == nil || !strings.Contains(err.Error(), "panic of type string") || strings.Contains(err.Error(), "secret") {
			t.Errorf("a panic becomes %v", err)
		}
		if down, open := c.breaker.state(); !down || open != 1 {
			t.Errorf("after a probe that panicked, KooDrive is down: %v, with %d open circuits", down, open)
		}
		for range 2 { // The probe, and the next one.
			if !send(c.breaker, of(1, "9"), nil) {
				t.Error("the probe that panicked is not released")
			}
		}
		if c.limiter.inFlight != 0 {
			t.Errorf("%d slots are lost", c.limiter.inFlight)
		}
	})
}
