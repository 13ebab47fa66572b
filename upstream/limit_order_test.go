package upstream

import (
	"context"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowd makes requests until its context ends, and counts them by place.
type crowd struct {
	limiter *limiter
	ctx     context.Context
	all     sync.WaitGroup

	mu      sync.Mutex
	granted map[Key]int // By queue. Guarded by mu.
}

// flood makes requests at a place, of which a number are always waiting or in flight for a time each.
func (c *crowd) flood(number int, p place, each time.Duration) {
	for range number {
		c.all.Go(func() {
			for {
				permit, err := c.limiter.wait(c.ctx, p)
				if err != nil {
					return
				}
				c.mu.Lock()
				c.granted[p.queue]++
				c.mu.Unlock()
				select {
				case <-time.After(each):
				case <-c.ctx.Done():
				}
				c.limiter.release(permit)
			}
		})
	}
}

// after returns how many requests of each queue have been granted after a time, at 50 per second and with 64 slots.
func after(t *testing.T, d time.Duration, floods func(*crowd)) map[Key]int {
	t.Helper()
	ctx, leave := context.WithTimeout(t.Context(), d)
	defer leave()
	c := &crowd{limiter: newLimiter(50, 64, unpooled), ctx: ctx, granted: map[Key]int{}}
	floods(c)
	c.all.Wait()
	isIdle(t, c.limiter)
	return c.granted
}

// Callers that KooDrive has answered get half of the requests, however many others there are at however many addresses,
// and the others get the other half.
func TestKnownAndUnknownCallersAlternate(t *testing.T) {
	for _, sizes := range [][2]byte{{1, 1}, {1, 20}, {20, 1}, {20, 20}} {
		synctest.Test(t, func(t *testing.T) {
			got := after(t, 20*time.Second, func(c *crowd) {
				for i := range sizes[0] {
					c.flood(100, caller(i), time.Millisecond)
				}
				for i := range sizes[1] {
					c.flood(100, stranger(i, 200), time.Millisecond)
				}
			})
			var each [sides]int
			for key, n := range got {
				each[key[1]] += n
			}
			if apart := each[known] - each[unknown]; apart < -5 || apart > 5 { // Half of the first requests, at once.
				t.Errorf("%d known callers and %d addresses make %d and %d requests", sizes[0], sizes[1], each[known], each[unknown])
			}
		})
	}
}

// Of the requests of unknown callers, an address gets no more than another, however many callers it has.
func TestAddressesAreServedRoundRobin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := after(t, 20*time.Second, func(c *crowd) {
			for i := range byte(200) {
				c.flood(5, stranger(0, i), time.Millisecond)
			}
			for i := range byte(8) {
				c.flood(10, stranger(1+i, 200), time.Millisecond)
			}
		})
		if n, other := got[Key{0, 1}], got[Key{5, 1}]; n > other+5 {
			t.Errorf("the address of many callers makes %d requests, another %d", n, other)
		}
	})
}

// An address whose requests take long gets an eighth of half the slots while other addresses wait, and as many as are
// free if none does.
func TestSlotsOfAddressesAreShared(t *testing.T) {
	for others, want := range map[byte]int{0: 32, 1: 64 / addressShare, 7: 64 / addressShare} {
		synctest.Test(t, func(t *testing.T) {
			got := after(t, 10*time.Second, func(c *crowd) {
				for i := range others {
					c.flood(20, stranger(1+i, 0), time.Millisecond)
				}
				c.flood(100, stranger(0, 0), time.Minute)
			})
			if n := got[Key{0, 1}]; n != want {
				t.Errorf("beside %d addresses, one holds %d slots, want %d", others, n, want)
			}
		})
	}
}

// opening opens tasks, all at once and from one address. Each is polled every second from its first answer on, until the last
// task has one: opening returns how long that takes. A caller is accepted with its first answer.
func opening(t *testing.T, tasks, callers int) time.Duration {
	t.Helper()
	const latency = 20 * time.Millisecond
	l := newLimiter(50, 64, unpooled)
	ctx, leave := context.WithTimeout(t.Context(), 5*time.Minute)
	start := time.Now()
	var first, all sync.WaitGroup
	var mu sync.Mutex
	accepted := map[Key]bool{}
	for i := range tasks {
		first.Add(1)
		all.Go(func() {
			answered := sync.OnceFunc(first.Done)
			defer answered()
			for p := stranger(1, byte(i%callers)); ; p.yield = 15 * time.Second {
				mu.Lock()
				if accepted[p.caller] {
					p.queue = p.caller
				}
				mu.Unlock()
				permit, err := l.wait(ctx, p)
				if err != nil {
					return
				}
				<-time.After(latency)
				l.release(permit)
				mu.Lock()
				accepted[p.caller] = true
				mu.Unlock()
				if permit.key != p.caller {
					l.accept(p.caller, permit.key)
				}
				answered()
				<-time.After(900*time.Millisecond + rand.N(200*time.Millisecond))
			}
		})
	}
	first.Wait()
	took := time.Since(start)
	leave()
	all.Wait()
	isIdle(t, l)
	return took
}

// A request has no goroutine while it waits. It leaves the queue with its context.
func TestWaitingRequestsHaveNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(10, 64, unpooled)
		ctx, leave := context.WithCancel(t.Context())
		var granted, left int
		var mu sync.Mutex
		before := runtime.NumGoroutine()
		for i := range 1000 {
			l.acquire(ctx, caller(byte(i)), func(permit *queue) {
				mu.Lock()
				defer mu.Unlock()
				if permit == nil {
					left++
					return
				}
				granted++
				l.release(permit)
			})
		}
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 10 {
			t.Errorf("1000 requests have %d goroutines", n)
		}
		leave()
		synctest.Wait()
		if granted != 11 || left != 1000-granted {
			t.Errorf("%d requests are granted and %d leave", granted, left)
		}
		isIdle(t, l)
	})
}

// Tasks that are opened at once all have their first answers before polls that are not overdue. Overdue polls get one
// request in overdueShare. Callers that have all of their answers alternate with the others.
func TestFirstAnswersGoFirst(t *testing.T) {
	for _, row := range []struct {
		tasks, callers int
		most           float64
	}{{500, 1, 1.05}, {500, 20, 1.05}, {2500, 1, 1.13}, {2500, 20, 1.13}, {2500, 200, 1.25}} {
		synctest.Test(t, func(t *testing.T) {
			fair := time.Duration(row.tasks) * time.Second / 50
			if took := opening(t, row.tasks, row.callers); took.Seconds() > row.most*fair.Seconds() {
				t.Errorf("%+v: the last first answer comes after %v, where %v would do", row, took, fair)
			}
		})
	}
}

// The callers of an address that has more of them than can be answered at once get half of the requests until they are.
func TestManyCallersOfAnAddressAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if took := opening(t, 250, 250); took > 2*250*time.Second/50 {
			t.Errorf("the last of 250 first answers comes after %v", took)
		}
	})
}

// An address that makes new requests without end does not hold up the polls of its neighbours for long after they are
// overdue: their watches do not become stale.
func TestNeighboursPollsAreNotPassedForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const yield = 15 * time.Second
		after(t, 2*time.Minute, func(c *crowd) {
			for i := range byte(200) {
				c.flood(10, stranger(1, i), time.Millisecond)
			}
			neighbour := stranger(1, 201)
			neighbour.yield = yield
			c.all.Go(func() {
				time.Sleep(time.Second) // The first requests of all go at once.
				for range 4 {
					start := time.Now()
					hold(t, c.limiter, neighbour, 0, func() {})
					if took := time.Since(start); took < yield || took > yield+time.Second {
						t.Errorf("a poll waits for %v", took)
					}
				}
			})
		})
	})
}

// A caller with more tasks than can be polled in time gets the first answer for another one before it gets the polls that
// are due later.
func TestPollsDoNotHoldUpFirstAnswersForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const queued = 40 * time.Second
		polls := caller(1)
		polls.yield = 15 * time.Second
		after(t, 3*time.Minute, func(c *crowd) {
			c.flood(50*int(queued/time.Second), polls, time.Millisecond)
			c.all.Go(func() {
				time.Sleep(queued)
				for range 4 {
					start := time.Now()
					hold(t, c.limiter, caller(1), 0, func() {})
					if took := time.Since(start); took > queued-polls.yield+time.Second {
						t.Errorf("a first answer waits for %v", took)
					}
				}
			})
		})
	})
}

// A request that arrives when there is a token does not take it from one that waits.
func TestNobodyPassesThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(burstShare, 64, unpooled) // One at once.
		l.timer = func(time.Duration) {}
		granted := make(chan string, 3)
		ask := func(name string) {
			l.acquire(t.Context(), caller(1), func(permit *queue) {
				l.release(permit)
				granted <- name
			})
		}
		ask("comes first")
		ask("waits")
		time.Sleep(time.Second)
		ask("comes last")
		for _, want := range []string{"comes first", "waits"} {
			if got := <-granted; got != want {
				t.Errorf("the request that %s was granted, where the one that %s has to be", got, want)
			}
		}
		time.Sleep(time.Second)
		l.due()
		<-granted
		isIdle(t, l)
	})
}
