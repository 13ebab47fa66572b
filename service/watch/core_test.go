package watch

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// value stands for a task: its tens are its rank, and values from 30 on are final.
type value int

func testConfig() Config[value] {
	return Config[value]{
		Min: time.Second, Max: 15 * time.Second, BackoffMax: time.Minute,
		Rank:  func(v value) int { return int(v) / 10 },
		Same:  func(a, b value) bool { return a == b },
		Final: func(v value) bool { return v >= 30 },
		Judge: func(err error) Verdict {
			var wait waitError
			var strike strikeError
			switch {
			case errors.As(err, &wait):
				return Verdict{Tolerance: -1, Wait: time.Duration(wait)}
			case errors.As(err, &strike):
				return Verdict{Kind: string(strike), Tolerance: 3}
			case errors.Is(err, errPassing):
				return Verdict{Tolerance: -1}
			default:
				return Verdict{Kind: "lasting", Tolerance: 1}
			}
		},
		WaitMax: 10 * time.Minute,
		Random:  func() float64 { return 0.5 }, // No jitter.
	}
}

// newCore returns the core of a key that was never polled.
func newCore() *core[value] {
	config := testConfig()
	return &core[value]{config: &config, state: &State[value]{}}
}

// judged classifies errors.
func judged(err error) Verdict { return testConfig().Judge(err) }

var errPassing, errLasting = errors.New("passing"), errors.New("lasting")

type waitError time.Duration

func (waitError) Error() string { return "wait" }

// strikeError is an error of which three consecutive ones end the watch.
type strikeError string

func (e strikeError) Error() string { return string(e) }

// at is the answer of the poll at second n.
func at(v value, n int) Answer[value] { return Answer[value]{Value: v, At: time.Unix(int64(n), 0)} }

func TestIntervalGrowsWhileNothingChanges(t *testing.T) {
	c := newCore()
	var waits []time.Duration
	for _, v := range []value{10, 10, 10, 10, 10, 10, 10, 10, 10, 20, 20, 30} {
		wait := c.answered(at(v, 0)).wait
		waits = append(waits, wait.Round(time.Millisecond))
	}
	const ms = time.Millisecond
	want := []time.Duration{
		1000 * ms, 1500 * ms, 2250 * ms, 3375 * ms, 5063 * ms, 7594 * ms, 11391 * ms, 15000 * ms, 15000 * ms,
		1000 * ms, 1500 * ms, 1000 * ms,
	}
	if !slices.Equal(waits, want) {
		t.Errorf("got  %v\nwant %v", waits, want)
	}
}

func TestIntervalIsJittered(t *testing.T) {
	for random, want := range map[float64]time.Duration{0: 800 * time.Millisecond, 1: 1200 * time.Millisecond} {
		c := newCore()
		c.config.Random = func() float64 { return random }
		if wait := c.answered(at(10, 0)).wait; wait != want {
			t.Errorf("with random %v: %v, want %v", random, wait, want)
		}
	}
}

func TestFailuresBackOff(t *testing.T) {
	c := newCore()
	c.answered(at(10, 0))
	c.answered(at(10, 1))
	var waits []time.Duration
	for range 7 {
		wait := c.failed(errPassing, judged(errPassing)).wait
		waits = append(waits, wait)
	}
	want := []time.Duration{3 * time.Second, 6 * time.Second, 12 * time.Second, 24 * time.Second, 48 * time.Second, time.Minute, time.Minute}
	if !slices.Equal(waits, want) {
		t.Errorf("got %v, want %v", waits, want)
	}
	if c.state.Failures != 7 || !errors.Is(c.state.Err, errPassing) || c.state.Ended {
		t.Errorf("state %+v", c.state)
	}
	if wait := c.answered(at(10, 2)).wait; wait != 2250*time.Millisecond || c.state.Failures != 0 || c.state.Err != nil {
		t.Errorf("after the first answer: wait %v, state %+v", wait, c.state)
	}
}

func TestAskedForWaitIsNeverShortened(t *testing.T) {
	for _, random := range []float64{0, 0.5, 0.999} {
		c := newCore()
		c.config.Random = func() float64 { return random }
		c.answered(at(10, 0))
		if wait := c.failed(waitError(time.Minute), judged(waitError(time.Minute))).wait; wait != time.Minute+time.Duration(12*random*float64(time.Second)) {
			t.Errorf("with random %v, asked for a minute: %v", random, wait)
		}
		for asked, most := range map[time.Duration]time.Duration{time.Minute: 72 * time.Second, 9 * time.Minute: 10 * time.Minute, 10 * time.Minute: 10 * time.Minute} {
			if wait := c.failed(waitError(asked), judged(waitError(asked))).wait; wait < asked || wait > most {
				t.Errorf("with random %v, asked for %v: %v", random, asked, wait)
			}
		}
	}
}

func TestOnlyChangesArePublished(t *testing.T) {
	c, regressions := newCore(), 0
	for _, step := range []struct {
		v        value
		news     bool
		revision uint64
		holds    value
		at       int64
	}{
		{10, true, 1, 10, 0},
		{10, false, 1, 10, 1}, // Confirmed.
		{11, true, 2, 11, 2},  // Changed within its rank.
		{20, true, 3, 20, 3},
		{11, false, 3, 20, 3}, // A step back is held, and confirms nothing.
		{20, false, 3, 20, 5},
		{31, true, 4, 31, 6},
	} {
		i := step.at
		if i == 3 && step.v == 11 {
			i = 4
		}
		done := c.answered(at(step.v, int(i)))
		if done.regressed {
			regressions++
		}
		s := c.state
		if done.news != step.news || s.Revision != step.revision || s.Value != step.holds || s.At.Unix() != step.at {
			t.Errorf("after %d: %+v, state %+v; want %+v", step.v, done, s, step)
		}
	}
	if !c.state.Ended || c.state.Err != nil || regressions != 1 {
		t.Errorf("a final value does not end, or not one step back was counted: %+v, %d", c.state, regressions)
	}
}

func TestStepBackStartsFailuresOver(t *testing.T) {
	c := newCore()
	c.answered(at(20, 0))
	c.failed(errPassing, judged(errPassing))
	c.answered(at(10, 1))
	if s := c.state; s.Failures != 0 || s.Err != nil || s.At.Unix() != 0 {
		t.Errorf("state %+v", s)
	}
}

func TestLastingErrorEnds(t *testing.T) {
	c := newCore()
	c.answered(at(10, 0))
	if news := c.failed(errLasting, judged(errLasting)).news; !news || !c.state.Ended || !errors.Is(c.state.Err, errLasting) || c.state.Value != 10 {
		t.Errorf("state %+v", c.state)
	}
}

func TestConsecutiveStrikesEnd(t *testing.T) {
	const answer = strikeError("")
	for name, row := range map[string]struct {
		polls []error // answer stands for a successful poll.
		ends  bool
	}{
		"two":                                  {[]error{strikeError("a"), strikeError("a")}, false},
		"three":                                {[]error{strikeError("a"), strikeError("a"), strikeError("a")}, true},
		"an answer starts over":                {[]error{strikeError("a"), strikeError("a"), answer, strikeError("a"), strikeError("a")}, false},
		"a transient failure leaves the count": {[]error{strikeError("a"), errPassing, strikeError("a"), waitError(1), strikeError("a")}, true},
		"kinds are counted apart":              {[]error{strikeError("a"), strikeError("a"), strikeError("b"), strikeError("b")}, false},
		"one that lasts":                       {[]error{errLasting}, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCore()
			c.answered(at(10, 0))
			for _, err := range row.polls {
				if errors.Is(err, answer) {
					c.answered(at(10, 1))
				} else {
					c.failed(err, judged(err))
				}
			}
			if c.state.Ended != row.ends {
				t.Errorf("%+v", c.state)
			}
		})
	}
	c := newCore()
	if c.failed(strikeError("a"), judged(strikeError("a"))); !c.state.Ended {
		t.Error("a strike before the first value does not end")
	}
}

func TestDoubt(t *testing.T) {
	c := newCore()
	c.answered(at(10, 0))
	c.failed(errPassing, judged(errPassing))
	if c.state.Doubted {
		t.Error("a transient failure makes a value doubtful")
	}
	c.failed(strikeError("a"), judged(strikeError("a")))
	c.failed(errPassing, judged(errPassing))
	if !c.state.Doubted {
		t.Error("a strike does not")
	}
	if news := c.answered(at(10, 1)).news; !news || c.state.Doubted || c.state.Revision != 1 {
		t.Errorf("the answer that clears it: news %v, %+v", news, c.state)
	}
}

func TestFailureIsNewsOnlyBeforeTheFirstValue(t *testing.T) {
	c := newCore()
	if news := c.failed(errPassing, judged(errPassing)).news; !news {
		t.Error("a watcher without a first value does not get the failure")
	}
	c.answered(at(10, 0))
	if news := c.failed(errPassing, judged(errPassing)).news; news {
		t.Error("a failure wakes watchers that have a value")
	}
}

func TestEndIsSticky(t *testing.T) {
	c := newCore()
	c.answered(at(30, 0))
	if c.end(errLasting).news || c.state.Err != nil {
		t.Errorf("a finished key ended again: %+v", c.state)
	}
	c = newCore()
	c.answered(at(10, 0))
	c.end(errLasting)
	for _, news := range []func() change{
		func() change { return c.answered(at(30, 1)) },
		func() change { return c.failed(errPassing, judged(errPassing)) },
	} {
		if woken := news().news; woken || c.state.Value != 10 || !errors.Is(c.state.Err, errLasting) {
			t.Errorf("an answer after the end: woken %v, %+v", woken, c.state)
		}
	}
}
