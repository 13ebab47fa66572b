package watch_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service/watch"
)

func TestPanicEndsTheKeyAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		var polls atomic.Int32
		healthy := subscribe(hub, "healthy", answers(&polls, 1, 2, final))
		broken := subscribe(hub, "broken", func(context.Context, bool, func(watch.Answer[int], error)) { panic("secret") })
		if _, err := follow(broken); err == nil {
			t.Error("no error")
		}
		if values, err := follow(healthy); err != nil || len(values) != 3 {
			t.Errorf("saw %v, %v", values, err)
		}
	})
}

func TestDrainEndsAllAndLetsNobodyIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		var polls atomic.Int32
		var all sync.WaitGroup
		for _, key := range []string{"a", "b", "b"} {
			s := subscribe(hub, key, answers(&polls, 1))
			all.Go(func() {
				if values, err := follow(s); !errors.Is(err, errDrained) || len(values) != 1 {
					t.Errorf("saw %v, %v", values, err)
				}
			})
		}
		finished := subscribe(hub, "c", answers(new(atomic.Int32), final))
		synctest.Wait()
		hub.Drain(errDrained)
		all.Wait()
		if values, err := follow(finished); err != nil || len(values) != 1 {
			t.Errorf("a finished watch saw %v, %v", values, err)
		}
		if values, err := follow(subscribe(hub, "d", answers(&polls, 1))); !errors.Is(err, errDrained) || values != nil {
			t.Errorf("a late one saw %v, %v", values, err)
		}
		hub.Close(errDrained)
		before := polls.Load()
		if time.Sleep(time.Hour); polls.Load() != before {
			t.Error("polling went on")
		}
	})
}

// A watch without an answer ends when it is stale, whether polls fail or hang; an answer restarts the time.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := newHub()
		defer hub.Close(errDrained)
		start := time.Now()
		failing := blocking(func(context.Context) (watch.Answer[int], error) {
			if time.Since(start) < 10*time.Minute {
				return watch.Answer[int]{Value: 1}, nil
			}
			return watch.Answer[int]{}, errPassing
		})
		values, err := follow(subscribe(hub, "failing", failing))
		if took := time.Since(start); len(values) != 1 || !errors.Is(err, errPassing) || took < 14*time.Minute+30*time.Second || took > 15*time.Minute {
			t.Errorf("saw %v, %v after %v", values, err, took)
		}
		start = time.Now()
		hanging := blocking(func(ctx context.Context) (watch.Answer[int], error) {
			<-ctx.Done()
			return watch.Answer[int]{}, ctx.Err()
		})
		if values, err := follow(subscribe(hub, "hanging", hanging)); values != nil || err == nil || time.Since(start) != 5*time.Minute {
			t.Errorf("saw %v, %v after %v", values, err, time.Since(start))
		}
	})
}
