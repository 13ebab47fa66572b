package watch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service/watch"
)

func TestWatchersShareOnePoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		var polls atomic.Int32
		var all sync.WaitGroup
		for range 1000 {
			s := subscribe(hub, "k", answers(&polls, 1, 1, 2, final))
			all.Go(func() {
				if values, err := follow(s); err != nil || len(values) != 3 || values[2] != final {
					t.Errorf("saw %v, %v", values, err)
				}
			})
		}
		all.Wait()
		if polls.Load() != 4 {
			t.Errorf("polled %d times", polls.Load())
		}
	})
}

func TestJoinerGetsTheNewestStateAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		var polls atomic.Int32
		poll := answers(&polls, 1)
		first := subscribe(hub, "k", poll)
		defer first.Close()
		time.Sleep(time.Minute)
		before := polls.Load()
		second := subscribe(hub, "k", poll)
		defer second.Close()
		synctest.Wait()
		select {
		case <-second.Wake():
		default:
			t.Fatal("the joiner was not woken")
		}
		if state, unseen := second.Next(); !unseen || state.Value != 1 || polls.Load() != before {
			t.Errorf("state %+v, unseen %v", state, unseen)
		}
		if _, unseen := second.Next(); unseen {
			t.Error("one value was handed out twice")
		}
	})
}

func TestLastOneToLeaveStopsThePoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		var polls, stopped atomic.Int32
		hanging := blocking(func(ctx context.Context) (watch.Answer[int], error) {
			polls.Add(1)
			<-ctx.Done()
			time.Sleep(time.Second)
			stopped.Add(1)
			return watch.Answer[int]{}, ctx.Err()
		})
		a, b := subscribe(hub, "k", hanging), subscribe(hub, "k", hanging)
		time.Sleep(time.Second)
		a.Close()
		if time.Sleep(time.Second); stopped.Load() != 0 {
			t.Error("the poll was stopped while somebody watches")
		}
		b.Close()
		if stopped.Load() != 1 {
			t.Error("Close did not wait for the poll")
		}
		time.Sleep(time.Hour)
		if polls.Load() != 1 {
			t.Errorf("polled %d times", polls.Load())
		}
		hub.Close(errDrained)
	})
}

func TestFailureBeforeTheFirstValueIsSeenByAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		failing := blocking(func(context.Context) (watch.Answer[int], error) { return watch.Answer[int]{}, errPassing })
		first := subscribe(hub, "k", failing)
		defer first.Close()
		<-first.Wake()
		joiner := subscribe(hub, "k", failing)
		defer joiner.Close()
		for _, s := range []watching{first, joiner} {
			if state, unseen := s.Next(); unseen || state.Ended || !errors.Is(state.Err, errPassing) || state.Failures != 1 {
				t.Errorf("state %+v", state)
			}
		}
		<-joiner.Wake()
	})
}

// One stream can follow many keys: a wake of any of their subscriptions reaches it.
func TestOneStreamFollowsManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		stream, wake := woken(watch.NewSenders(time.Minute))
		defer stream.Close()
		open := map[*watch.Subscription[int]]bool{}
		for i := range 100 {
			open[hub.Subscribe(fmt.Sprint(i), answers(new(atomic.Int32), 1, 2, final), stream)] = true
		}
		seen := 0
		for len(open) > 0 {
			<-wake
			for s := range open {
				state, unseen := s.Next()
				if unseen {
					seen++
				}
				if state.Ended {
					watch.Leave(s)
					delete(open, s)
				}
			}
		}
		if seen != 300 {
			t.Errorf("%d values of 300 were seen", seen)
		}
	})
}

// While a value is doubtful, new subscribers do not get it. Once it is confirmed, all do.
func TestJoinerOfADoubtfulKeyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		polls := 0
		poll := blocking(func(context.Context) (watch.Answer[int], error) {
			if polls++; polls == 2 {
				return watch.Answer[int]{}, errors.New("no")
			}
			return watch.Answer[int]{Value: 1}, nil
		})
		first := subscribe(hub, "k", poll)
		defer first.Close()
		time.Sleep(1500 * time.Millisecond)
		second := subscribe(hub, "k", poll)
		defer second.Close()
		<-second.Wake()
		if state, unseen := second.Next(); unseen || !state.Doubted || state.Ended {
			t.Errorf("the joiner is shown %+v", state)
		}
		<-second.Wake()
		if state, unseen := second.Next(); !unseen || state.Value != 1 || polls != 3 {
			t.Errorf("after %d polls: unseen %v, %+v", polls, unseen, state)
		}
	})
}

// A key that waits for its next poll, or for the end of one, needs no goroutine.
func TestWaitingKeysHaveNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		before := runtime.NumGoroutine()
		pending := func(ctx context.Context, _ bool, done func(watch.Answer[int], error)) {
			context.AfterFunc(ctx, func() { done(watch.Answer[int]{}, ctx.Err()) })
		}
		for i := range 100 {
			poll := pending
			if i%2 == 0 {
				poll = answers(new(atomic.Int32), 1)
			}
			defer subscribe(hub, fmt.Sprint(i), poll).Close()
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 10 {
			t.Errorf("100 keys have %d goroutines", n)
		}
	})
}

// The next poller of a key waits for a predecessor that is slow to stop, and is not stopped with it.
func TestSuccessorWaitsAndStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		var stopped atomic.Bool
		first := subscribe(hub, "k", blocking(func(ctx context.Context) (watch.Answer[int], error) {
			<-ctx.Done()
			time.Sleep(time.Minute)
			stopped.Store(true)
			return watch.Answer[int]{}, ctx.Err()
		}))
		synctest.Wait()
		go first.Close()
		synctest.Wait()
		var polls atomic.Int32
		poll := blocking(func(context.Context) (watch.Answer[int], error) {
			if !stopped.Load() {
				t.Error("two polls of the key at once")
			}
			polls.Add(1)
			return watch.Answer[int]{Value: 1}, nil
		})
		second := subscribe(hub, "k", poll)
		defer second.Close()
		<-second.Wake()
		synctest.Wait()
		third := subscribe(hub, "k", poll)
		defer third.Close()
		synctest.Wait()
		if polls.Load() != 1 {
			t.Errorf("the third watcher did not join the second one's poller: %d polls", polls.Load())
		}
	})
}

// Watchers come and go around the moments at which the key is polled and finishes. Those who stay see the final value, no
// two polls of the key overlap, and every newcomer is served within two intervals.
func TestJoinLeaveAndTerminalLoseNothing(t *testing.T) {
	const rounds = 10_000
	hub := newHub()
	defer hub.Close(errDrained)
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		step := make(chan int)
		var inFlight, peak atomic.Int32
		poll := blocking(func(ctx context.Context) (watch.Answer[int], error) {
			peak.Store(max(peak.Load(), inFlight.Add(1)))
			defer inFlight.Add(-1)
			select {
			case n := <-step:
				return watch.Answer[int]{Value: n}, nil
			case <-ctx.Done():
				return watch.Answer[int]{}, ctx.Err()
			}
		})
		var stay, pass sync.WaitGroup
		key := string(rune('a' + round%3))
		for range 3 {
			s := subscribe(hub, key, poll)
			stay.Go(func() {
				if values, err := follow(s); err != nil || values[len(values)-1] != final {
					t.Errorf("round %d: saw %v, %v", round, values, err)
				}
			})
		}
		for range 1 + random.IntN(3) {
			pass.Go(func() { subscribe(hub, key, poll).Close() })
		}
		late := make(chan watching, 1)
		pass.Go(func() { late <- subscribe(hub, key, poll) }) // Before, at or after the end.
		step <- final
		stay.Wait()
		pass.Wait()
		s := <-late
		select { // It joined the poller that has ended, or started one.
		case step <- final:
		case <-s.Wake():
			s.Next()
		}
		s.Close()
		if peak.Load() > 1 {
			t.Fatalf("round %d: %d polls at once", round, peak.Load())
		}
		if t.Failed() {
			return
		}
	}
}

// A value that changes and changes back while a subscriber does not look is not new to it, and is confirmed as before.
func TestChangeAndBackIsNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := watch.NewHub[string](watch.Config[int]{
			Min: time.Second, Max: time.Second, BackoffMax: time.Second, Rank: func(int) int { return 0 },
			Same: func(a, b int) bool { return a == b }, Final: func(int) bool { return false },
			Random: func() float64 { return 0.5 },
		})
		defer hub.Close(errDrained)
		s := subscribe(hub, "k", answers(new(atomic.Int32), 1, 2, 1, 2))
		defer s.Close()
		for _, step := range []struct {
			after  time.Duration
			value  int
			unseen bool
		}{{0, 1, true}, {2 * time.Second, 1, false}, {time.Second, 2, true}} {
			time.Sleep(step.after)
			synctest.Wait()
			if state, unseen := s.Next(); state.Value != step.value || unseen != step.unseen || s.Seen() != state.Revision {
				t.Errorf("%+v, unseen %v, seen %d, want %+v", state, unseen, s.Seen(), step)
			}
		}
	})
}
