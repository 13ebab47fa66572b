package watch

import (
	"time"
)

// Stream carries a watcher's messages. A goroutine with news for it calls Wake, and a sender then calls its step.
type Stream struct {
	group *group
	steps Steps

	woken   bool // It is to be stepped. Guarded by group.mu, as are the fields below.
	expired bool // A step that is stuck is late at once.
	held    bool // A step is running, or the stream was not started.
	ended   bool
	limit   *time.Timer // Calls Late. Nil unless the step is stuck.
}

// Steps are the steps of a stream.
type Steps interface {
	// Step sends the news, if there is any. It gets the time at which it begins.
	Step(now time.Time)
	// Late makes a Step that is stuck return.
	Late()
	// Expires returns when a Step that is stuck is late, if that is before the limit. Zero: never. It is called with locks
	// held, so it must not block or call the Stream.
	Expires() time.Time
}

// Start begins to step the stream, at once if it was woken. Steps follow each other; one that was woken while it ran is
// repeated. Late is called at least once if a step has not returned within the limit, or at Expires.
func (t *Stream) Start(steps Steps) {
	t.group.mu.Lock()
	t.steps = steps
	first := t.group.releaseLocked(t)
	t.group.mu.Unlock()
	if first {
		t.group.senders.enqueue(t.group)
	}
}

// Wake asks for a step. It does not block.
func (t *Stream) Wake() {
	if g := t.mark(); g != nil {
		g.senders.enqueue(g)
	}
}

// Expire lets a step that is stuck, now or later, be late at once.
func (t *Stream) Expire() {
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	t.expired = true
	if t.limit != nil {
		t.limit.Reset(0)
	}
}

// Close ends the steps. It does not wait for a step that is running.
func (t *Stream) Close() {
	g := t.group
	g.senders.mu.Lock()
	if g.streams--; g.streams == 0 && g.connection != nil {
		delete(g.senders.groups, g.connection)
	}
	g.senders.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	t.ended = true
	if t.limit != nil {
		t.limit.Stop()
	}
}

// mark wakes the stream. It returns the group if that must be enqueued now.
func (t *Stream) mark() *group {
	g := t.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.woken || t.ended {
		return nil
	}
	t.woken = true
	if t.held || !g.addLocked(t) {
		return nil
	}
	return g
}
