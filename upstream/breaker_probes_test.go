package upstream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// After a failed probe another waiting caller goes first: a request that fails for one caller may work for all others.
func TestProbesGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for i := range BreakerAttempts {
			send(b, of(i%2, fmt.Sprint(i)), failure)
		}
		time.Sleep(BreakerPause)
		if !send(b, of(1, "a"), failure) {
			t.Fatal("there is no probe")
		}
		if send(b, of(5, "good"), nil) {
			t.Fatal("there are two")
		}
		time.Sleep(BreakerPause)
		if send(b, of(1, "a"), failure) {
			t.Error("the probe goes to the same caller again")
		}
		if !send(b, of(5, "good"), nil) || !send(b, of(6, "good"), nil) {
			t.Error("the probe of another caller does not close the circuit")
		}

		for i := range BreakerAttempts {
			send(b, of(10+i, fmt.Sprint(i)), failure)
		}
		time.Sleep(BreakerPause)
		send(b, of(11, "a"), failure)
		time.Sleep(BreakerPause)
		if !send(b, of(11, "a"), failure) {
			t.Error("nobody else waits, and there is no probe")
		}
		send(b, of(5, "good"), nil) // It is refused and never comes back.
		time.Sleep(2 * BreakerPause)
		if !send(b, of(11, "a"), nil) {
			t.Error("one that has left keeps the others waiting")
		}
	})
}

// A probe that proves nothing (a 404, or a cancelled one) neither lets its caller keep the probes for itself nor allows more than
// one request per second.
func TestNeutralProbesGoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for i := range BreakerAttempts {
			send(b, of(i%2, fmt.Sprint(i)), failure)
		}
		time.Sleep(BreakerPause)
		probes := 0
		for range 1000 {
			if send(b, of(7, "gone"), neutral[1]) {
				probes++
			}
			time.Sleep(10 * time.Millisecond)
		}
		if probes > 11 {
			t.Errorf("KooDrive gets %d probes in 10 s", probes)
		}
		probe, err := b.enter(of(7, "gone"))
		for err != nil {
			time.Sleep(10 * time.Millisecond)
			probe, err = b.enter(of(7, "gone"))
		}
		send(b, of(5, "good"), nil) // It is refused and comes again.
		probe.sent = true
		probe.end(neutral[1])
		time.Sleep(2 * time.Second)
		if send(b, of(7, "gone"), neutral[1]) {
			t.Error("a caller with neutral probes gets the next one, too")
		}
		if !send(b, of(5, "good"), nil) || !send(b, of(6, "good"), nil) {
			t.Error("the one that waits does not close the circuit")
		}
	})
}

func TestTheProbeDecides(t *testing.T) {
	open := func() *breaker {
		b := newBreaker(nil)
		fail(t, b, func(task string) voter { return of(1, task) }, 1)
		return b
	}
	synctest.Test(t, func(t *testing.T) {
		b := open()
		time.Sleep(BreakerPause)
		probe, err := b.enter(of(1, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if send(b, of(1, "a"), nil) {
			t.Error("two probes at once")
		}
		probe.sent = true
		probe.end(nil)
		if !send(b, of(1, "a"), nil) {
			t.Error("a probe that succeeds does not close it")
		}

		b = open()
		time.Sleep(BreakerPause)
		if !send(b, of(1, "a"), failure) || send(b, of(1, "a"), nil) {
			t.Error("a probe that fails does not open it again")
		}
		time.Sleep(BreakerPause)
		for _, nothing := range neutral { // Each leaves room for the next probe.
			if !send(b, of(1, "a"), nothing) {
				t.Errorf("a probe that ends with %v is not released", nothing)
			}
		}
		for range 2 {
			if !send(b, of(1, "a"), nil) {
				t.Error("it does not close")
			}
		}
	})
}
