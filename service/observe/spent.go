package observe

import (
	"context"
	"sync"
	"time"
)

// Stage is the state of a request.
type Stage int

const (
	// Idle is the stage before the queue, between two attempts, and at the end.
	Idle Stage = iota
	// Queued is the wait in the queue.
	Queued
	// Sent is the wait for the answer.
	Sent
)

// Enter records that the request of an [Ask], identified by its context, enters a stage. It ignores other contexts.
func Enter(ctx context.Context, stage Stage) {
	if l, ok := ctx.Value(timelineKey{}).(*timeline); ok {
		l.enter(stage)
	}
}

// Spent is the time that calls of Get waited while their request was queued or sent.
type Spent struct{ Queued, Sent time.Duration }

// Spending is a context whose calls of Get add to its Spent. One goroutine at a time may use it. It can be part of another
// struct, which saves an allocation.
type Spending struct {
	context.Context
	Spent Spent
}

// Value implements [context.Context].
func (s *Spending) Value(key any) any {
	if key == (spentKey{}) {
		return &s.Spent
	}
	return s.Context.Value(key)
}

type (
	spentKey    struct{}
	timelineKey struct{}
)

// timeline records when a request entered each stage.
type timeline struct {
	mu      sync.Mutex
	changes []change // Oldest first. Guarded by mu.
	room    [usualChanges]change
}

// usualChanges is the number of changes of a request that is answered at once.
const usualChanges = 5

// withTimeline returns a context with a timeline of its own.
func withTimeline(ctx context.Context) *stagedContext {
	c := &stagedContext{Context: ctx}
	c.changes = c.room[:0]
	return c
}

// stagedContext is a context with the timeline of its request.
type stagedContext struct {
	context.Context
	timeline
}

// Value returns the timeline for a timelineKey.
func (c *stagedContext) Value(key any) any {
	if key == (timelineKey{}) {
		return &c.timeline
	}
	return c.Context.Value(key)
}

type change struct {
	at    time.Time
	stage Stage
}

func (l *timeline) enter(stage Stage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, change{time.Now(), stage})
}

// spend adds the time since a call began to ctx's Spent, split by stage.
func (l *timeline) spend(ctx context.Context, since time.Time) {
	spent, ok := ctx.Value(spentKey{}).(*Spent)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	end := time.Now()
	for i := len(l.changes) - 1; i >= 0 && end.After(since); i-- {
		begin := l.changes[i].at
		if begin.Before(since) {
			begin = since
		}
		switch l.changes[i].stage {
		case Queued:
			spent.Queued += end.Sub(begin)
		case Sent:
			spent.Sent += end.Sub(begin)
		case Idle:
		}
		end = begin
	}
}
