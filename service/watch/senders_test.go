package watch_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kootask/kootask/service/watch"
)

const limit = 30 * time.Second

// client is a stream whose steps block while the client does not read.
type client struct {
	*watch.Stream
	reads  atomic.Pointer[chan struct{}] // Nil: the client reads.
	steps  atomic.Int32                  // Steps that have returned.
	at     atomic.Int64                  // When the last one has.
	inside atomic.Int32                  // Steps that are running.
	twice  atomic.Bool                   // Two were running at once.
	late   atomic.Bool
}

func join(senders *watch.Senders, connection any, expires time.Time) *client {
	c := &client{Stream: senders.Join(connection)}
	c.Start(c, expires)
	return c
}

func (c *client) Step(time.Time) {
	if c.inside.Add(1) > 1 {
		c.twice.Store(true)
	}
	defer c.inside.Add(-1)
	if reads := c.reads.Load(); reads != nil {
		<-*reads
	}
	c.at.Store(time.Now().UnixNano())
	c.steps.Add(1)
}

// pause makes the client stop reading.
func (c *client) pause() {
	reads := make(chan struct{})
	c.reads.Store(&reads)
}

// read makes the client read again.
func (c *client) read() {
	if reads := c.reads.Swap(nil); reads != nil {
		close(*reads)
	}
}

// Late ends a step that is stuck, as the end of a call does.
func (c *client) Late() {
	c.late.Store(true)
	c.read()
}

func connections(senders *watch.Senders, connections, each int) (all []*client) {
	for connection := range connections {
		for range each {
			all = append(all, join(senders, connection, time.Time{}))
		}
	}
	return all
}

func wakeAll(clients []*client) {
	for _, c := range clients {
		c.Wake()
	}
}

func closeAll(clients []*client) {
	for _, c := range clients {
		c.Close()
		c.read()
	}
}

// Clients that do not read, on any number of connections, delay the others by no more than it takes to notice them, and
// the next message not at all. Their own messages end at the limit.
func TestClientsThatDoNotReadDelayNobody(t *testing.T) {
	for name, stuck := range map[string]func(i int) bool{
		"one stream":              func(i int) bool { return i == 7 },
		"a whole connection":      func(i int) bool { return i < 10 },
		"one of each connection":  func(i int) bool { return i%10 == 0 },
		"all of most connections": func(i int) bool { return i < 80 },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := connections(watch.NewSenders(limit), 10, 10)
				defer closeAll(all)
				for i, c := range all {
					if stuck(i) {
						c.pause()
					}
				}
				check := func(round int, within time.Duration) {
					start := time.Now()
					wakeAll(all)
					time.Sleep(within)
					synctest.Wait()
					for i, c := range all {
						if !stuck(i) && (c.steps.Load() != int32(round) || time.Unix(0, c.at.Load()).Sub(start) > within) {
							t.Fatalf("round %d: stream %d has had %d steps", round, i, c.steps.Load())
						}
					}
				}
				start := time.Now()
				check(1, 10*watch.StuckAfter)
				check(2, 0)
				check(3, 0)
				time.Sleep(time.Until(start.Add(limit)) - time.Nanosecond)
				synctest.Wait()
				for i, c := range all {
					if c.late.Load() {
						t.Errorf("stream %d was cut early", i)
					}
				}
				time.Sleep(2 * 10 * 10 * watch.StuckAfter)
				synctest.Wait()
				for i, c := range all {
					if c.late.Load() != stuck(i) || c.twice.Load() {
						t.Errorf("stream %d: cut %v, two steps at once %v", i, c.late.Load(), c.twice.Load())
					}
				}
			})
		})
	}
}

// A step that is stuck ends when the caller's authentication expires, if that is before the limit.
func TestStuckStepsEndWhenTheCallerExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := join(watch.NewSenders(limit), nil, start.Add(time.Second))
		defer c.Close()
		c.pause()
		c.Wake()
		time.Sleep(time.Second - time.Nanosecond)
		synctest.Wait()
		if c.late.Load() {
			t.Error("cut before it expires")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !c.late.Load() {
			t.Error("not cut when it expires")
		}
	})
}

// A step that is stuck ends when its call is over, whether that was before or after the step was found to be stuck.
func TestStuckStepsEndWithTheirCall(t *testing.T) {
	for name, after := range map[string]time.Duration{"before": time.Millisecond, "after": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := join(watch.NewSenders(limit), nil, time.Time{})
				defer closeAll([]*client{c})
				c.pause()
				c.Wake()
				time.Sleep(after)
				c.Expire()
				time.Sleep(2 * watch.StuckAfter)
				synctest.Wait()
				if !c.late.Load() {
					t.Error("the step is still stuck")
				}
			})
		})
	}
}

// A wake during a stuck step is not lost: the step is repeated, once, when the client reads again.
func TestWakesOfAStuckStreamAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		senders := watch.NewSenders(limit)
		c, other := join(senders, 1, time.Time{}), join(senders, 1, time.Time{})
		defer closeAll([]*client{c, other})
		c.pause()
		for range 5 {
			c.Wake()
			time.Sleep(time.Second)
			synctest.Wait()
		}
		c.read()
		synctest.Wait()
		if c.steps.Load() != 2 || c.late.Load() {
			t.Errorf("%d steps, cut %v", c.steps.Load(), c.late.Load())
		}
		time.Sleep(2 * limit)
		if c.late.Load() {
			t.Error("cut after it had read")
		}
	})
}

// Streams join, are woken and leave while their group is walked, and while its sender is stuck. Each is stepped after its
// last wake, one step at a time, and never after it has left and its step has ended. Run with -race.
func TestStreamsComeAndGoDuringAWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		senders := watch.NewSenders(limit)
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() {
				for n := range 20 {
					c := join(senders, i%3, time.Time{})
					if i%50 == 0 {
						c.pause()
					}
					c.Wake()
					time.Sleep(time.Duration(n) * time.Millisecond)
					c.Wake()
					if i%50 == 0 {
						time.Sleep(2 * watch.StuckAfter)
						c.read()
					}
					for c.steps.Load() == 0 {
						time.Sleep(time.Millisecond)
					}
					c.Close()
					steps := c.steps.Load()
					c.Wake()
					time.Sleep(time.Millisecond)
					if c.twice.Load() || c.steps.Load() > steps+1 {
						t.Errorf("two steps at once %v, %d steps after %d", c.twice.Load(), c.steps.Load(), steps)
					}
				}
			})
		}
		all.Wait()
	})
}

// Two senders walk two connections at once, but never the same one: its messages would leave one by one.
func TestAConnectionHasOneSender(t *testing.T) {
	var walking, most [2]atomic.Int32
	synctest.Test(t, func(*testing.T) {
		senders := watch.NewSenders(limit)
		var streams []*watch.Stream
		for i := range 100 {
			connection := 0
			if i%10 == 0 {
				connection = 1
			}
			stream := senders.Join(connection)
			stream.Start(stepFunc(func(time.Time) {
				most[connection].Store(max(most[connection].Load(), walking[connection].Add(1)))
				time.Sleep(time.Microsecond)
				walking[connection].Add(-1)
			}), time.Time{})
			streams = append(streams, stream)
		}
		for range 10 {
			for _, s := range streams {
				s.Wake()
				time.Sleep(time.Nanosecond) // The senders may begin.
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		for _, s := range streams {
			s.Close()
		}
	})
	for i := range most {
		if most[i].Load() != 1 {
			t.Errorf("connection %d had %d senders", i, most[i].Load())
		}
	}
}
