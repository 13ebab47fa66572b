package upstream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Failing requests open the circuits of their own caller and address, and no other.
func TestCircuitsOfOneCallerOpenAlone(t *testing.T) {
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
		"a caller that KooDrive answers at last": {
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
					t.Errorf("the only caller's circuit is not the common one: %v, %d open, reported %d times", down, open, told)
				}
				for i, q := range row.passes {
					if !send(b, q, nil) {
						t.Errorf("request %d of others is refused", i)
					}
				}
				if down, _ := b.state(); down || told != 2 {
					t.Errorf("KooDrive answers others, but counts as down: %v, reported %d times", down, told)
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

// A caller that KooDrive has answered before, and that is then alone with its failures, also opens the common circuit:
// KooDrive may have moved.
func TestTheOnlyCallersCircuitIsTheCommonOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(nil)
		send(b, at(1, 2, "a"), nil)
		for range BreakerAttempts {
			send(b, of(2, "a"), failure)
		}
		if down, _ := b.state(); !down {
			t.Error("KooDrive counts as up")
		}
	})
}

// One working caller outvotes one failing caller. Two of three failing callers outvote a working one, if enough tasks fail.
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

// If KooDrive is down before the first call, then after the requests that show it, it gets one request every 5 s.
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
					t.Errorf("%d requests in a minute, want at most %d", asked, most)
				}
				time.Sleep(BreakerPause)
				if down, _ := b.state(); !down {
					t.Error("KooDrive counts as up")
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

// Callers with open circuits keep their vote: the common circuit opens again although their attempts have left the window.
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
			t.Errorf("KooDrive, which is down, gets %d requests in a minute, want at most %d", asked, most)
		}
	})
}
