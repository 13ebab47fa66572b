package upstream

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// caller is the place of a caller that KooDrive has answered.
func caller(n byte) place { return place{caller: Key{n}, queue: Key{n}} }

// stranger is the place of a caller that KooDrive has not answered.
func stranger(address, n byte) place { return place{caller: Key{n}, queue: Key{address, 1}} }

// unpooled starts a new goroutine for each function.
func unpooled(f func()) { go f() }

// wait acquires a permit, and waits for it.
func (l *limiter) wait(ctx context.Context, p place) (*queue, error) {
	got := make(chan *queue)
	l.acquire(ctx, p, func(permit *queue) { got <- permit })
	permit := <-got
	if ctx.Err() != nil && permit != nil {
		l.release(permit)
	}
	return permit, ctx.Err()
}

// hold acquires a permit, notes when, and releases it after d.
func hold(t *testing.T, l *limiter, p place, d time.Duration, granted func()) {
	t.Helper()
	permit, err := l.wait(t.Context(), p)
	if err != nil {
		t.Error(err)
		return
	}
	granted()
	time.AfterFunc(d, func() { l.release(permit) })
}

// isIdle checks that nothing is queued and no permit is lost.
func isIdle(t *testing.T, l *limiter) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	turns := l.turns[known].Len() + l.turns[unknown].Len()
	if l.inFlight != 0 || l.waiting != 0 || len(l.queues) != 0 || turns != 0 {
		t.Errorf("%d permits, %d requests, %d queues and %d turns are left", l.inFlight, l.waiting, len(l.queues), turns)
	}
}

func TestRateCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(50, 1000, unpooled)
		start := time.Now()
		var mu sync.Mutex
		var at []time.Duration
		var all sync.WaitGroup
		for i := range 500 {
			all.Go(func() {
				hold(t, l, caller(byte(i)), 0, func() {
					mu.Lock()
					defer mu.Unlock()
					at = append(at, time.Since(start))
				})
			})
		}
		all.Wait()
		slices.Sort(at)
		for i := range at {
			if i+55 < len(at) && at[i+55]-at[i] < time.Second {
				t.Fatalf("56 requests between %v and %v", at[i], at[i+55])
			}
		}
		if last := at[len(at)-1]; last > 10*time.Second { // 5 at once, and then 50 a second.
			t.Errorf("500 requests took %v", last)
		}
	})
}

func TestConcurrencyCeiling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1_000_000, 64, unpooled)
		start := time.Now()
		var mu sync.Mutex
		at := map[time.Duration]int{}
		var all sync.WaitGroup
		for i := range 640 {
			all.Go(func() {
				hold(t, l, caller(byte(i)), time.Second, func() {
					mu.Lock()
					defer mu.Unlock()
					at[time.Since(start).Round(time.Second)]++
				})
			})
		}
		all.Wait()
		for second := range 10 {
			if n := at[time.Duration(second)*time.Second]; n != 64 {
				t.Errorf("%d requests at once in second %d", n, second)
			}
		}
		time.Sleep(2 * time.Second)
		isIdle(t, l)
	})
}

// A caller with a thousand queued requests makes another caller wait for one request, not for a thousand.
func TestCallersAreServedRoundRobin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(50, 64, unpooled)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() { hold(t, l, caller(1), 0, func() {}) })
		}
		time.Sleep(time.Second)
		start := time.Now()
		for range 10 {
			hold(t, l, caller(2), 0, func() {})
		}
		if took := time.Since(start); took > 450*time.Millisecond { // Every other turn, at 20 ms.
			t.Errorf("ten requests of the other caller took %v", took)
		}
		all.Wait()
	})
}

// However long slots are held, one caller gets half of 64, two get a third each, and a newcomer finds a free one.
func TestSlotsAreShared(t *testing.T) {
	for callers, each := range map[int]int{1: 32, 2: 21, 3: 16, 20: 0} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(1_000_000, 64, unpooled)
			ctx, leave := context.WithCancel(t.Context())
			var all sync.WaitGroup
			var mu sync.Mutex
			held := map[int]int{}
			for i := range 200 * callers {
				all.Go(func() {
					if permit, err := l.wait(ctx, caller(byte(i%callers))); err == nil {
						mu.Lock()
						held[i%callers]++
						mu.Unlock()
						<-ctx.Done()
						l.release(permit)
					}
				})
				synctest.Wait() // They queue in this order.
			}
			time.Sleep(time.Second)
			mu.Lock()
			for i := range callers {
				if each > 0 && (held[i] < each || held[i] > each+1) {
					t.Errorf("of %d callers, one holds %d slots, want %d", callers, held[i], each)
				}
			}
			mu.Unlock()
			newcomer, tooLate := context.WithTimeout(t.Context(), time.Second)
			defer tooLate()
			if permit, err := l.wait(newcomer, caller(100)); err != nil {
				t.Errorf("with %d callers, a newcomer: %v", callers, err)
			} else {
				l.release(permit)
			}
			leave()
			all.Wait()
			isIdle(t, l)
		})
	}
}

// If there is a single slot, any caller may use it.
func TestOneSlotIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1000, 1, unpooled)
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { hold(t, l, caller(byte(i%3)), time.Second, func() {}) })
		}
		all.Wait()
		time.Sleep(2 * time.Second)
		isIdle(t, l)
	})
}

func TestCancelledCallLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1000, 1, unpooled)
		permit, err := l.wait(t.Context(), caller(1))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				if _, err := l.wait(ctx, caller(byte(i%2))); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		l.release(permit)
		hold(t, l, caller(3), 0, func() {})
		time.Sleep(time.Second)
		isIdle(t, l)
	})
}

// The timer is armed once for all that wait, and again for each token: not for each arrival.
func TestTimerIsNotArmedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(10, 1000, unpooled)
		arm := l.timer
		var armed atomic.Int32
		l.timer = func(after time.Duration) {
			armed.Add(1)
			arm(after)
		}
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 1001 { // The first one has a token.
			all.Go(func() {
				if permit, err := l.wait(ctx, caller(byte(i))); err == nil {
					l.release(permit)
				}
			})
		}
		synctest.Wait()
		if n := armed.Load(); n != 1 {
			t.Errorf("1000 arrivals arm the timer %d times", n)
		}
		time.Sleep(time.Second + time.Millisecond)
		if n := armed.Load(); n != 11 {
			t.Errorf("after 10 tokens the timer was armed %d times", n)
		}
		leave()
		all.Wait()
		isIdle(t, l)
	})
}
