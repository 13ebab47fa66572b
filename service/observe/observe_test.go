package observe_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service/observe"
)

func TestConcurrentCallsShareOneRequest(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		var all sync.WaitGroup
		var fresh atomic.Int32
		for range 1000 {
			all.Go(func() {
				got, err := o.Get(t.Context(), "k", observe.Wish{}, s.ask)
				if err != nil || got.Value != 1 || got.Source == observe.Memory {
					t.Errorf("got %+v, %v", got, err)
				}
				if got.Source == observe.Fresh {
					fresh.Add(1)
				}
			})
		}
		all.Wait()
		if s.asked != 1 || fresh.Load() != 1 {
			t.Errorf("%d requests, fresh for %d", s.asked, fresh.Load())
		}
		if _, err := o.Get(t.Context(), "k", observe.Wish{}, s.ask); err != nil || s.asked != 2 {
			t.Errorf("an unfinished value was answered from memory: %d requests, %v", s.asked, err)
		}
	})
}

func TestKeysDoNotShare(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		var all sync.WaitGroup
		for _, key := range []string{"a", "b"} {
			all.Go(func() { _, _ = o.Get(t.Context(), key, observe.Wish{}, s.ask) })
		}
		all.Wait()
		if s.asked != 2 {
			t.Errorf("%d requests", s.asked)
		}
	})
}

func TestFirstCallersLeavingFailsNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		first, leave := context.WithCancel(t.Context())
		go func() {
			if _, err := o.Get(first, "k", observe.Wish{}, s.ask); !errors.Is(err, context.Canceled) {
				t.Errorf("the one who left got %v", err)
			}
		}()
		synctest.Wait()
		go func() {
			time.Sleep(time.Second / 2)
			leave()
		}()
		if got, err := o.Get(t.Context(), "k", observe.Wish{}, s.ask); err != nil || got.Value != 1 {
			t.Errorf("the one who stayed got %+v, %v", got, err)
		}
		if s.asked != 1 || s.cancelled != 0 {
			t.Errorf("%d requests, %d cancelled", s.asked, s.cancelled)
		}
	})
}

func TestLastCallersLeavingEndsTheRequest(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		ctx, leave := context.WithTimeout(t.Context(), time.Second/4)
		defer leave()
		if _, err := o.Get(ctx, "k", observe.Wish{}, s.ask); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if s.cancelled != 1 {
			t.Error("the request went on")
		}
	})
}

func TestCallAfterTheLastHasLeftGetsItsOwnRequest(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		slow := blocking(func(ctx context.Context, begun func()) (int, error) { // Takes a second to notice that it is cancelled.
			_, err := s.answer(ctx, begun)
			time.Sleep(time.Second)
			return 0, err
		})
		ctx, leave := context.WithTimeout(t.Context(), time.Second/4)
		defer leave()
		_, _ = o.Get(ctx, "k", observe.Wish{}, slow)
		got, err := o.Get(t.Context(), "k", observe.Wish{}, s.ask)
		if err != nil || got.Value != 2 {
			t.Errorf("got %+v, %v", got, err)
		}
		if s.peak != 1 {
			t.Errorf("%d requests at once", s.peak)
		}
	})
}

// Begin gets the same observations as Get: an own request, that of a call, the one after a cancelled one, or a final value from memory. It
// leaves with its context.
func TestBegin(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		type end struct {
			observe.Observation[int]
			err error
		}
		begin := func(ctx context.Context) <-chan end {
			ends := make(chan end, 2) // One more than there must be.
			o.Begin(ctx, "k", s.ask, func(got observe.Observation[int], err error) { ends <- end{got, err} })
			return ends
		}
		want := func(ends <-chan end, value int, source observe.Source, err error) {
			t.Helper()
			got := <-ends
			synctest.Wait()
			if got.Value != value || got.Source != source || !errors.Is(got.err, err) || len(ends) != 0 {
				t.Errorf("got %+v, %v, and %d more", got, got.err, len(ends))
			}
		}
		own := begin(t.Context())
		joined := begin(t.Context())
		want(own, 1, observe.Fresh, nil)
		want(joined, 1, observe.Joined, nil)

		ctx, leave := context.WithCancel(t.Context())
		cancelled := begin(ctx)
		synctest.Wait()
		leave()
		want(cancelled, 0, observe.Fresh, context.Canceled)
		if synctest.Wait(); s.cancelled != 1 {
			t.Error("the request went on")
		}
		want(begin(ctx), 0, observe.Fresh, context.Canceled)

		slow, leave := context.WithCancel(t.Context())
		o.Begin(slow, "k", func(ctx context.Context, _ func(), done func(int, error)) {
			context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, func() { done(0, ctx.Err()) }) })
		}, func(observe.Observation[int], error) {})
		leave()
		synctest.Wait()
		s.finished = true
		want(begin(t.Context()), final+3, observe.Fresh, nil)
		want(begin(t.Context()), final+3, observe.Memory, nil)
		if s.peak != 1 {
			t.Errorf("%d requests at once", s.peak)
		}
	})
}

func TestErrorsAreSharedAndForgotten(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		s.err = errors.New("no")
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := o.Get(t.Context(), "k", observe.Wish{}, s.ask); !errors.Is(err, s.err) {
					t.Errorf("got %v", err)
				}
			})
		}
		all.Wait()
		if s.asked != 1 {
			t.Errorf("%d requests", s.asked)
		}
		s.err = nil
		if got, err := o.Get(t.Context(), "k", observe.Wish{MaxAge: age(time.Minute)}, s.ask); err != nil || got.Value != 2 || s.asked != 2 {
			t.Errorf("the failure was kept: %+v, %v, %d requests", got, err, s.asked)
		}
	})
}

func TestPanicIsAnError(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		s.panics = true
		_, err := o.Get(t.Context(), "k", observe.Wish{}, s.ask)
		if err == nil {
			t.Fatal("no error")
		}
		s.panics = false
		if _, err := o.Get(t.Context(), "k", observe.Wish{}, s.ask); err != nil {
			t.Errorf("the key is broken: %v", err)
		}
	})
}

func TestFinalValueIsAnsweredFromMemoryForAMinute(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		s.finished = true
		get := func(maxAge *time.Duration) observe.Observation[int] {
			got, err := o.Get(t.Context(), "k", observe.Wish{MaxAge: maxAge}, s.ask)
			if err != nil {
				t.Error(err)
			}
			return got
		}
		first := get(nil)
		if first.Answered.Sub(first.Asked) != time.Second {
			t.Errorf("asked %v, answered %v", first.Asked, first.Answered)
		}
		time.Sleep(30 * time.Second) // 31 s after it was requested.
		if first.Source != observe.Fresh {
			t.Errorf("it comes from %v", first.Source)
		}
		first.Source = observe.Memory
		if again := get(nil); again != first || s.asked != 1 {
			t.Errorf("%d requests: %+v", s.asked, again)
		}
		if get(age(31 * time.Second)); s.asked != 1 {
			t.Error("an observation exactly as old as allowed was refused")
		}
		if get(age(31*time.Second - 1)); s.asked != 2 {
			t.Error("an older observation than allowed was returned")
		}
		for range 2 { // Requests for it do not prolong it.
			time.Sleep(29 * time.Second)
			if get(nil); s.asked != 2 {
				t.Error("an observation was not kept for a minute")
			}
		}
		time.Sleep(3 * time.Second)
		if get(nil); s.asked != 3 {
			t.Error("an observation was kept for longer than a minute")
		}
	})
}

func TestMaxAgeTakesAnUnfinishedValue(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		_, _ = o.Get(t.Context(), "k", observe.Wish{}, s.ask)
		if got, err := o.Get(t.Context(), "k", observe.Wish{MaxAge: age(time.Second)}, s.ask); err != nil || got.Value != 1 || s.asked != 1 {
			t.Errorf("got %+v, %v; %d requests", got, err, s.asked)
		}
	})
}

func TestMaxAgeZeroSharesTheNextRequest(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		go func() { _, _ = o.Get(t.Context(), "k", observe.Wish{}, s.ask) }()
		synctest.Wait() // The first request has begun, and at the same moment:
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if got, err := o.Get(t.Context(), "k", observe.Wish{MaxAge: age(0)}, s.ask); err != nil || got.Value != 2 {
					t.Errorf("got %+v, %v", got, err)
				}
			})
		}
		all.Wait()
		if s.asked != 2 || s.peak != 1 {
			t.Errorf("%d requests, %d at once", s.asked, s.peak)
		}
	})
}

func TestMaxAgeJoinsARequestThatIsYoungEnough(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		go func() { _, _ = o.Get(t.Context(), "k", observe.Wish{}, s.ask) }()
		time.Sleep(time.Second / 2)
		if got, err := o.Get(t.Context(), "k", observe.Wish{MaxAge: age(time.Second / 2)}, s.ask); err != nil || got.Value != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
		go func() { _, _ = o.Get(t.Context(), "k", observe.Wish{}, s.ask) }()
		time.Sleep(time.Second / 2)
		if got, err := o.Get(t.Context(), "k", observe.Wish{MaxAge: age(time.Second / 4)}, s.ask); err != nil || got.Value != 3 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

// A call without patience leaves while its request is queued; the others get its answer.
func TestPatience(t *testing.T) {
	bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
		s.queue = 3 * time.Second
		var all sync.WaitGroup
		for _, patience := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 0} {
			all.Go(func() {
				start := time.Now()
				got, err := o.Get(t.Context(), "k", observe.Wish{Patience: patience}, s.ask)
				if leaves := patience > 0 && patience < s.queue; leaves && (!errors.Is(err, observe.ErrNotBegun) || time.Since(start) != patience) {
					t.Errorf("with a patience of %v: %+v, %v after %v", patience, got, err, time.Since(start))
				} else if !leaves && (err != nil || got.Value != 1) {
					t.Errorf("with a patience of %v: %+v, %v", patience, got, err)
				}
			})
		}
		all.Wait()
		if _, err := o.Get(t.Context(), "k", observe.Wish{Patience: time.Second}, s.ask); !errors.Is(err, observe.ErrNotBegun) {
			t.Errorf("alone: %v", err)
		}
		synctest.Wait()
		if time.Sleep(time.Hour); s.asked != 1 {
			t.Errorf("%d requests: the abandoned one was sent", s.asked)
		}
	})
}

// Kept returns an observation exactly if Get would take it from memory, and then the same one.
func TestKeptEqualsGetFromMemory(t *testing.T) {
	wishes := []observe.Wish{{}, {Recent: 1}, {Recent: time.Second}, {Recent: 2 * time.Second}, {Recent: time.Hour}, {Recent: time.Hour, MaxAge: age(0)}}
	for _, maxAge := range []time.Duration{0, 1, time.Second, 2 * time.Second, time.Hour} {
		wishes = append(wishes, observe.Wish{MaxAge: &maxAge})
	}
	for _, finished := range []bool{false, true} {
		for _, later := range []time.Duration{0, time.Second, 30 * time.Second, 2 * time.Minute} {
			for _, wish := range wishes {
				bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
					s.finished = finished
					if _, ok := o.Kept("k", wish); ok {
						t.Fatal("an observation is kept before any request")
					}
					_, _ = o.Get(t.Context(), "k", observe.Wish{}, s.ask)
					time.Sleep(later)
					kept, ok := o.Kept("k", wish)
					got, err := o.Get(t.Context(), "k", wish, s.ask)
					if err != nil || ok != (s.asked == 1) || ok && kept != got {
						t.Errorf("finished: %v, %v later, %+v: kept %+v, %v; got %+v, %v", finished, later, wish, kept, ok, got, err)
					}
				})
			}
		}
	}
}

// A call that accepts a recent observation takes it as long as it is recent, and a final one for longer. It joins any request in
// flight.
func TestRecentObservation(t *testing.T) {
	for _, finished := range []bool{false, true} {
		bubble(t, func(t *testing.T, o *observe.Observer[string, int], s *source) {
			s.finished = finished
			get := func(recent time.Duration) {
				if _, err := o.Get(t.Context(), "k", observe.Wish{Recent: recent}, s.ask); err != nil {
					t.Error(err)
				}
			}
			go get(0)
			time.Sleep(900 * time.Millisecond) // Of the second that a request takes.
			if get(time.Millisecond); s.asked != 1 {
				t.Error("the request in flight was not joined")
			}
			time.Sleep(2 * time.Second)
			if get(3 * time.Second); s.asked != 1 {
				t.Error("an observation exactly as old as allowed was refused")
			}
			if get(3*time.Second - 1); (s.asked == 1) != finished {
				t.Errorf("finished: %v: %d requests", finished, s.asked)
			}
		})
	}
}
