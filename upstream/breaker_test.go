package upstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/internal/secret"
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
	failure = failures[0]
)

// numbered is a key of callers or addresses.
func numbered(n int) (k Key) {
	binary.BigEndian.PutUint32(k[:], uint32(n))
	return k
}

// of is a query of a caller whom KooDrive has answered lately, at is one of another caller, at an address.
func of(caller int, task string) voter {
	return voter{caller: numbered(caller), queue: numbered(caller), task: task}
}

func at(address, caller int, task string) voter {
	return voter{caller: numbered(caller), queue: numbered(-address), task: task}
}

// send makes a request that ends with err, and reports whether it was admitted.
func send(b *breaker, v voter, err error) bool {
	admitted, refused := b.enter(v)
	if refused == nil {
		admitted.sent = true
		admitted.end(err)
	}
	return refused == nil
}

// fail makes as many requests as open a circuit, for as many tasks.
func fail(t *testing.T, b *breaker, q func(task string) voter, tasks int) {
	t.Helper()
	for i := range BreakerAttempts {
		if !send(b, q(fmt.Sprint("task-", i%tasks)), failure) {
			t.Fatalf("request %d is refused", i)
		}
	}
}

func TestWhatOpensTheBreaker(t *testing.T) {
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

// A window that is over does not count.
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

// Whose requests fail opens circuits for those whose requests they were, and for nobody else.
func TestWhoseCircuitOpens(t *testing.T) {
	for name, row := range map[string]struct {
		fails        func(task string) voter
		tasks        int
		shut, passes []voter
	}{
		"a caller": {
			func(task string) voter { return of(1, task) }, 5,
			[]voter{of(1, "other")}, []voter{of(2, "task-0"), at(1, 3, "task-0")},
		},
		"an unknown caller with one task": {
			func(task string) voter { return at(1, 2, task) }, 1,
			[]voter{at(1, 2, "other")}, []voter{at(1, 3, "other"), at(2, 2000, "other"), of(4, "task-0")},
		},
		"an unknown caller with many tasks": {
			func(task string) voter { return at(1, 2, task) }, 5,
			[]voter{at(1, 2, "other"), at(1, 3, "other")}, []voter{at(2, 4, "other"), of(4, "task-0")},
		},
		"a caller whom KooDrive answers at last": {
			func(task string) voter { return at(1, 2, task) }, 2,
			[]voter{at(1, 2, "other"), of(2, "other")}, []voter{at(1, 3, "other"), of(3, "other")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				told := 0
				b := newBreaker(func(bool) { told++ })
				fail(t, b, row.fails, row.tasks)
				for i, q := range row.shut {
					if send(b, q, nil) {
						t.Errorf("request %d passes", i)
					}
				}
				if down, open := b.state(); !down || open == 0 || told != 1 {
					t.Errorf("the only caller's circuit is not the common one: %v, %d open, told %d times", down, open, told)
				}
				for i, q := range row.passes {
					if !send(b, q, nil) {
						t.Errorf("request %d of others is refused", i)
					}
				}
				if down, _ := b.state(); down || told != 2 {
					t.Errorf("KooDrive answers others, and is taken to be down: %v, told %d times", down, told)
				}
				again := row.shut[0]
				again.task = "task-0"
				fail := func() bool { return send(b, again, failure) }
				time.Sleep(BreakerPause)
				if !fail() || fail() {
					t.Error("after a pause there is not one probe")
				}
				for i, q := range row.passes {
					if !send(b, q, nil) {
						t.Errorf("request %d of others is refused after the probe", i)
					}
				}
			})
		})
	}
}

// A caller that KooDrive has answered once, and that is then alone with its failures, learns of a KooDrive that has moved.
func TestTheOnlyCallersCircuitIsTheCommonOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		send(b, at(1, 2, "a"), nil)
		for range BreakerAttempts {
			send(b, of(2, "a"), failure)
		}
		if down, _ := b.state(); !down {
			t.Error("KooDrive is taken to work")
		}
	})
}

// One caller that works outvotes one that does not; of three, two that do not outvote it, if enough tasks fail.
func TestVotes(t *testing.T) {
	for name, row := range map[string]struct {
		failing, working, tasks int
		opens                   bool
	}{
		"one of two":                   {1, 1, 10, false},
		"two of three":                 {2, 1, 10, true},
		"two of four":                  {2, 2, 10, false},
		"all of two, with two tasks":   {2, 0, 2, false},
		"all of two, with three tasks": {2, 0, 3, true},
		"one of eleven":                {1, 10, 10, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(nil)
				for i := range row.working {
					send(b, of(100+i, "good"), nil)
				}
				for i := range 3 * BreakerAttempts {
					send(b, of(i%row.failing, fmt.Sprint("bad-", i%row.tasks)), failure)
				}
				if got := !send(b, of(1000, "good"), nil); got != row.opens {
					t.Errorf("the common circuit is open: %v", got)
				}
			})
		})
	}
}

// A KooDrive that is down before the first call gets, after the requests that show it, one every five seconds.
func TestKooDriveIsDownBeforeTheFirstCall(t *testing.T) {
	for name, query := range map[string]func(i int) voter{
		"one caller, one task":               func(int) voter { return of(1, "a") },
		"one caller, many tasks":             func(i int) voter { return of(1, fmt.Sprint(i%50)) },
		"one unknown caller, one task":       func(int) voter { return at(1, 1, "a") },
		"1000 callers":                       func(i int) voter { return of(1+i%1000, fmt.Sprint(i%1000)) },
		"1000 unknown callers, one address":  func(i int) voter { return at(1, 1+i%1000, fmt.Sprint(i%1000)) },
		"1000 unknown callers and addresses": func(i int) voter { return at(1+i%1000, 1+i%1000, fmt.Sprint(i%1000)) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, asked := newBreaker(nil), 0
				for i := range 60 * 1000 {
					if send(b, query(i), failure) {
						asked++
					}
					time.Sleep(time.Millisecond)
				}
				if most := BreakerAttempts + int(time.Minute/BreakerPause); asked > most {
					t.Errorf("%d requests in a minute, want %d at most", asked, most)
				}
				time.Sleep(BreakerPause)
				if down, _ := b.state(); !down {
					t.Error("KooDrive is taken to work")
				}
				for i := range 3 {
					if !send(b, query(i), nil) && i > 0 {
						t.Errorf("request %d after the recovery is refused", i)
					}
				}
			})
		})
	}
}

// A failed probe's caller lets another one that waits go first: what fails for one may work for all others.
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
		send(b, of(5, "good"), nil) // It is refused, and never comes back.
		time.Sleep(2 * BreakerPause)
		if !send(b, of(11, "a"), nil) {
			t.Error("one that has left keeps the others waiting")
		}
	})
}

// A probe that shows nothing, a 404 or one that is given up, does not let its caller keep the probes for itself, nor KooDrive get
// more than one a second.
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
		send(b, of(5, "good"), nil) // It is refused, and comes again.
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

// A request that was admitted and then not sent, because KooDrive had asked to wait, is no failure.
func TestWithheldRequestsAreNoFailures(t *testing.T) {
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

// One caller's loop does not make KooDrive look down while others, who ask seldom, are answered.
func TestALoopIsNotAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for i := range 10 {
			send(b, of(10+i, "good"), nil)
		}
		fail(t, b, func(task string) voter { return of(1, task) }, 5)
		if down, open := b.state(); down || open != 1 {
			t.Errorf("KooDrive is taken to be down: %v, %d circuits are open", down, open)
		}
	})
}

// Callers whose circuits stay open are still heard: the common circuit opens again although their attempts have left the window.
func TestOpenCircuitsVote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		for caller := range 5 {
			fail(t, b, func(string) voter { return of(caller, fmt.Sprint("task-", caller%2)) }, 1)
			time.Sleep(2 * time.Second)
		}
		asked := 0
		for range 600 {
			for caller := range 5 {
				if send(b, of(caller, fmt.Sprint("task-", caller)), failure) {
					asked++
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if most := BreakerAttempts + 60/5; asked > most {
			t.Errorf("KooDrive, which is down, gets %d requests in a minute, want %d at most", asked, most)
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
				t.Errorf("a probe that ends with %v holds its place", nothing)
			}
		}
		for range 2 {
			if !send(b, of(1, "a"), nil) {
				t.Error("it does not close")
			}
		}
	})
}

// A request that was sent before a circuit opened, and ends after that, decides nothing; one that was admitted and has not
// been sent is not sent.
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

// However many callers there are, the breaker remembers those of a window.
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
			t.Errorf("it holds %d attempts or circuits, want %d at most", most, limit)
		}
		time.Sleep(2*BreakerWindow + BreakerPause)
		if _, open := b.state(); open != 0 || len(b.circuits) != 0 || len(b.window) != 0 || b.votes.all != 0 || b.votes.failing != 0 {
			t.Errorf("left: %d circuits, %d attempts, %d open, votes %+v", len(b.circuits), len(b.window), open, b.votes)
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
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it did not panic")
				}
			}()
			_, _ = c.Task(t.Context(), q, Call{Queue: q.caller, Begun: func() { panic("secret") }})
		}()
		for range 2 { // The probe, and the next one.
			if !send(c.breaker, of(1, "9"), nil) {
				t.Error("the probe that panicked holds its place")
			}
		}
		if c.limiter.inFlight != 0 {
			t.Errorf("%d slots are lost", c.limiter.inFlight)
		}
	})
}
