package watch

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// StuckAfter is the time after which a step that has not returned is stuck. Its goroutine keeps it, and another one
// goes on with the streams behind it.
const StuckAfter = 50 * time.Millisecond

// Senders run the steps of streams. A step sends all that its stream has to send, so a change reaches all its watchers from
// few goroutines: waking one goroutine per watcher would cost more than sending.
//
// The streams of a connection form a group, which one sender walks: their messages then leave in few packets. A step
// that blocks, because its client does not read, costs only its own stream a goroutine.
type Senders struct {
	limit time.Duration // Maximum time that a step may be stuck.
	most  int           // Senders that run at once, not counting those with a stuck step and those of suspect groups.

	mu       sync.Mutex           // Taken before a group's mu.
	groups   map[any]*group       // By connection. Guarded by mu, as are the fields below.
	queue    fifo[*group]         // Groups that wait for a sender.
	count    int                  // Senders that take groups from the queue.
	walking  map[*sender]struct{} // Senders that walk a group.
	checking bool                 // The timer of check is running.
	stuck    atomic.Int64         // Steps that are stuck.
}

// group holds the streams of one connection.
type group struct {
	senders    *Senders
	connection any // Nil: the group is its only stream's.
	streams    int // Guarded by Senders.mu.

	mu      sync.Mutex
	woken   fifo[*Stream] // Streams to step. Guarded by mu, as are the fields below.
	queued  bool          // The group waits for a sender, or one walks it.
	suspect bool          // A step was stuck in the last walk. A sender of its own walks the group: it may be stuck again.
}

// sender is the state of a goroutine that walks groups.
type sender struct {
	group  *group    // Guarded by Senders.mu.
	extra  bool      // It walks a suspect group only.
	stream *Stream   // The stream whose step is running. Guarded by the group's mu, as are the fields below.
	since  time.Time // When that step began.
	lost   bool      // The step was stuck: others go on with the group and the queue.
}

// NewSenders returns Senders that allow a stuck step limit before they report it: see [Stream.Start].
func NewSenders(limit time.Duration) *Senders {
	return &Senders{
		limit: limit, most: runtime.GOMAXPROCS(0),
		groups: map[any]*group{}, walking: map[*sender]struct{}{},
	}
}

// Stuck returns the number of steps that are stuck.
func (s *Senders) Stuck() int { return int(s.stuck.Load()) }

// Join returns a stream of a connection, which must be comparable; nil: of a connection of its own. Nothing is stepped
// before Start. Close it.
func (s *Senders) Join(connection any) *Stream {
	stream := &Stream{held: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[connection]
	if g == nil {
		g = &group{senders: s, connection: connection}
		if connection != nil {
			s.groups[connection] = g
		}
	}
	g.streams++
	stream.group = g
	return stream
}

// addLocked adds a stream to be stepped. It reports whether the group must be enqueued.
func (g *group) addLocked(t *Stream) (first bool) {
	g.woken.push(t)
	first = !g.queued
	g.queued = true
	return first
}

// releaseLocked ends a stream's step. It reports whether the group must be enqueued.
func (g *group) releaseLocked(t *Stream) (first bool) {
	t.held = false
	if t.limit != nil {
		t.limit.Stop()
		t.limit = nil
	}
	return t.woken && !t.ended && g.addLocked(t)
}

// wakeAll wakes streams. Their groups are enqueued when all are woken, so that each is walked once, in whatever order
// the streams are.
func wakeAll[V any](subscriptions []*Subscription[V]) {
	var groups []*group
	for _, s := range subscriptions {
		if g := s.stream.mark(); g != nil {
			groups = append(groups, g)
		}
	}
	for _, g := range groups {
		g.senders.enqueue(g)
	}
}

// enqueue hands a group to the senders.
func (s *Senders) enqueue(g *group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueueLocked(g)
}

func (s *Senders) enqueueLocked(g *group) {
	if g.isSuspect() {
		s.startLocked(&sender{group: g, extra: true})
		return
	}
	s.queue.push(g)
	s.fillLocked()
}

func (g *group) isSuspect() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.suspect
}

// fillLocked starts the senders that the queue needs.
func (s *Senders) fillLocked() {
	for s.count < s.most {
		g, ok := s.queue.pop()
		if !ok {
			return
		}
		s.count++
		s.startLocked(&sender{group: g})
	}
}

func (s *Senders) startLocked(me *sender) {
	s.walking[me] = struct{}{}
	if !s.checking {
		s.checking = true
		time.AfterFunc(StuckAfter, s.check)
	}
	go s.run(me)
}

// run walks groups until none waits, or until others have taken over because a step was stuck.
func (s *Senders) run(me *sender) {
	for {
		again, lost := me.group.walk(me)
		if again {
			s.enqueue(me.group)
		}
		if lost || !s.next(me) {
			return
		}
	}
}

// next takes a group off the queue. It reports false if the sender has nothing left to do.
func (s *Senders) next(me *sender) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !me.extra {
		if g, ok := s.queue.pop(); ok {
			me.group = g
			return true
		}
	}
	s.endLocked(me)
	return false
}

func (s *Senders) endLocked(me *sender) {
	delete(s.walking, me)
	if !me.extra {
		s.count--
	}
}

// walk steps the streams that were woken when it began. It reports whether the group must be enqueued again, and whether
// the sender was replaced.
func (g *group) walk(me *sender) (again, lost bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for range g.woken.len() {
		t, ok := g.woken.pop()
		if !ok {
			break
		}
		t.woken = false
		if t.ended {
			continue
		}
		t.held = true
		now := time.Now()
		me.stream, me.since = t, now
		g.mu.Unlock()
		t.steps.Step(now)
		g.mu.Lock()
		me.stream = nil
		again = g.releaseLocked(t)
		if me.lost {
			g.senders.stuck.Add(-1)
			return again, true
		}
	}
	again = g.woken.len() > 0
	g.queued, g.suspect = again, false
	return again, false
}

// check replaces the senders whose steps are stuck. It comes back as long as any sender walks.
func (s *Senders) check() {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for me := range s.walking {
		lost, rest := me.group.handOver(me, now)
		if lost {
			s.endLocked(me)
		}
		if rest {
			s.enqueueLocked(me.group)
		}
	}
	s.fillLocked()
	if s.checking = len(s.walking) > 0; s.checking {
		time.AfterFunc(StuckAfter, s.check)
	}
}

// handOver takes the group from its sender if a step is stuck. It reports whether it did, and whether the group must be
// enqueued.
func (g *group) handOver(me *sender, now time.Time) (lost, rest bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := me.stream
	if t == nil || now.Sub(me.since) < StuckAfter {
		return false, false
	}
	me.lost, g.suspect = true, true
	g.senders.stuck.Add(1)
	if !t.ended {
		until := me.since.Add(g.senders.limit)
		if !t.expires.IsZero() && t.expires.Before(until) {
			until = t.expires
		}
		t.limit = time.AfterFunc(until.Sub(now), t.steps.Late)
	}
	rest = g.woken.len() > 0
	g.queued = rest
	return true, rest
}
