package watch_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service/watch"
)

// first returns the value that a new watcher is shown at once; 0 if there is none.
func first(w watching) int {
	synctest.Wait()
	if state, unseen := w.Next(); unseen {
		return state.Value
	}
	return 0
}

// schedule returns a poll that always answers 1, and the times of its calls, which it appends to all.
func schedule(start time.Time, all *[]time.Duration) watch.Poll[int] {
	return func(_ context.Context, _ bool, done func(watch.Answer[int], error)) {
		*all = append(*all, time.Since(start))
		done(watch.Answer[int]{Value: 1, At: time.Now()}, nil)
	}
}

// Watchers that follow each other get the newest value at once, and cost the polls of one watcher.
func TestWatchersThatFollowEachOther(t *testing.T) {
	polls := func(each time.Duration) (all []time.Duration) {
		synctest.Test(t, func(t *testing.T) {
			hub, start := newHub(), time.Now()
			defer hub.Close(errDrained)
			for end := start.Add(10 * time.Minute); time.Now().Before(end); {
				w := subscribe(hub, "k", schedule(start, &all))
				if got := first(w); got != 1 {
					t.Fatalf("after %v a watcher was shown %d", time.Since(start), got)
				}
				time.Sleep(each)
				w.Close()
			}
		})
		return all
	}
	one := polls(10 * time.Minute)
	for _, each := range []time.Duration{300 * time.Millisecond, time.Second, 25 * time.Second} {
		if all := polls(each); !slices.Equal(all, one) {
			t.Errorf("watchers of %v polled at %v, and one watcher at %v", each, all, one)
		}
	}
}

// Without a watcher nothing is polled. A watcher that comes after the next poll would have begun starts from nothing.
func TestWhatIsKeptExpires(t *testing.T) {
	for _, row := range []struct {
		away time.Duration
		want []time.Duration // The polls at 0 s, and those of the second watcher within 3 s.
	}{
		{900 * time.Millisecond, []time.Duration{0, time.Second, 2500 * time.Millisecond}},
		{1900 * time.Millisecond, []time.Duration{0, 1900 * time.Millisecond, 3400 * time.Millisecond}},
		{2100 * time.Millisecond, []time.Duration{0, 2100 * time.Millisecond, 3100 * time.Millisecond, 4600 * time.Millisecond}},
		{time.Hour, []time.Duration{0, time.Hour, time.Hour + time.Second, time.Hour + 2500*time.Millisecond}},
	} {
		synctest.Test(t, func(t *testing.T) {
			hub, start := newHub(), time.Now()
			defer hub.Close(errDrained)
			var all []time.Duration
			poll := schedule(start, &all)
			w := subscribe(hub, "k", poll)
			synctest.Wait()
			w.Close()
			time.Sleep(row.away)
			w = subscribe(hub, "k", poll)
			if got := first(w); got != 1 {
				t.Errorf("after %v a watcher was shown %d", row.away, got)
			}
			time.Sleep(3*time.Second - time.Millisecond)
			w.Close()
			if len(all) < len(row.want) || !slices.Equal(all[:len(row.want)], row.want) {
				t.Errorf("after %v: polls at %v, want %v", row.away, all, row.want)
			}
		})
	}
}

// A value that is in doubt, or was followed by a failure, is not kept.
func TestFailuresAreNotKept(t *testing.T) {
	for name, failure := range map[string]error{"passing": errPassing, "strike": errDrained} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub := newHub()
				defer hub.Close(errDrained)
				var calls atomic.Int32
				w := subscribe(hub, "k", func(_ context.Context, _ bool, done func(watch.Answer[int], error)) {
					if calls.Add(1) == 1 {
						done(watch.Answer[int]{Value: 1}, nil)
						return
					}
					done(watch.Answer[int]{}, failure)
				})
				time.Sleep(1500 * time.Millisecond)
				w.Close()
				w = subscribe(hub, "k", answers(&calls, 1, 1, 7))
				defer w.Close()
				if got := first(w); got != 7 || calls.Load() != 3 {
					t.Errorf("after %d polls a watcher was shown %d", calls.Load(), got)
				}
			})
		})
	}
}

// The last watcher leaves while a poll is in flight. A watcher that comes at once gets the value, and a poll; but a poll that was in
// flight for long is not begun again and again.
func TestPollInFlightWhenTheLastWatcherLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, start := newHub(), time.Now()
		defer hub.Close(errDrained)
		var begun []time.Duration
		poll := func(ctx context.Context, _ bool, done func(watch.Answer[int], error)) {
			begun = append(begun, time.Since(start))
			if len(begun) == 1 {
				done(watch.Answer[int]{Value: 1}, nil)
				return
			}
			go func() {
				<-ctx.Done()
				done(watch.Answer[int]{}, ctx.Err())
			}()
		}
		shown := []int{}
		for range 5 {
			w := subscribe(hub, "k", poll)
			shown = append(shown, first(w))
			time.Sleep(700 * time.Millisecond)
			w.Close()
		}
		if want := []int{1, 1, 1, 0, 0}; !slices.Equal(shown, want) {
			t.Errorf("the watchers were shown %v, want %v", shown, want)
		}
		if want := []time.Duration{0, time.Second, 1400 * time.Millisecond, 2100 * time.Millisecond, 2800 * time.Millisecond}; !slices.Equal(begun, want) {
			t.Errorf("polls at %v, want %v", begun, want)
		}
	})
}

// A subscription that lingers leaves a poll in flight to its end. Its answer is kept, and no other poll follows.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, start := newHub(), time.Now()
		defer hub.Close(errDrained)
		var begun []time.Duration
		poll := func(_ context.Context, _ bool, done func(watch.Answer[int], error)) {
			n := len(begun) + 1
			begun = append(begun, time.Since(start))
			time.AfterFunc(3*time.Second, func() { done(watch.Answer[int]{Value: n}, nil) })
		}
		w := subscribe(hub, "k", poll)
		time.Sleep(5 * time.Second) // The first poll ends at 3 s, the second one is in flight from 4 s to 7 s.
		w.Linger()
		w.stream.Close()
		time.Sleep(2500 * time.Millisecond)
		if hub.Keys() != 0 || len(begun) != 2 {
			t.Errorf("after the poll, %d keys are watched, and there were %d polls", hub.Keys(), len(begun))
		}
		w = subscribe(hub, "k", poll) // At 7.5 s, half a second before the next poll is due.
		if got := first(w); got != 2 {
			t.Errorf("the next one was shown %d", got)
		}
		time.Sleep(time.Second)
		w.Linger()
		w.stream.Close()
		w = subscribe(hub, "k", poll) // It joins the poll in flight.
		time.Sleep(3 * time.Second)
		if got := first(w); got != 3 {
			t.Errorf("the last one was shown %d", got)
		}
		w.Close()
		time.Sleep(time.Hour)
		if want := []time.Duration{0, 4 * time.Second, 8 * time.Second}; !slices.Equal(begun, want) {
			t.Errorf("polls at %v, want %v", begun, want)
		}
	})
}

// Leaving many keys takes as long as the poll that takes longest to end.
func TestLeaveStopsAllPollersTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, start := newHub(), time.Now()
		defer hub.Close(errDrained)
		slow := func(ctx context.Context, _ bool, done func(watch.Answer[int], error)) {
			go func() {
				<-ctx.Done()
				time.Sleep(time.Second) // The end of the request takes a moment.
				done(watch.Answer[int]{}, ctx.Err())
			}()
		}
		stream, _ := woken(watch.NewSenders(time.Minute))
		defer stream.Close()
		var all []*watch.Subscription[int]
		for _, key := range []string{"a", "b", "c", "a"} {
			all = append(all, hub.Subscribe(key, slow, stream))
		}
		synctest.Wait()
		watch.Leave(all...)
		if took := time.Since(start); took != time.Second || hub.Keys() != 0 {
			t.Errorf("leaving took %v, and %d keys are left", took, hub.Keys())
		}
	})
}

// Watchers are woken when doubt begins, and not by each further strike.
func TestDoubtWakesWatchers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		var calls atomic.Int32
		w := subscribe(hub, "k", func(_ context.Context, _ bool, done func(watch.Answer[int], error)) {
			if calls.Add(1) == 1 {
				done(watch.Answer[int]{Value: 1}, nil)
				return
			}
			done(watch.Answer[int]{}, errDrained)
		})
		defer w.Close()
		<-w.Wake()
		<-w.Wake()
		if state, unseen := w.Next(); unseen || !state.Doubted || state.Ended || state.Failed.IsZero() || state.Failed.Before(state.Heard) {
			t.Errorf("woken with %+v, unseen %t", state, unseen)
		}
		<-w.Wake()
		if state, _ := w.Next(); !state.Ended || calls.Load() != 4 {
			t.Errorf("woken after poll %d with %+v", calls.Load(), state)
		}
	})
}
