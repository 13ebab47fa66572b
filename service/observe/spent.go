package observe

import (
	"context"
	"sync"
	"time"
)

// Stage is what a request is doing.
type Stage int

const (
	// Idle is none of the others: before the first one, between two attempts, and at the end.
	Idle Stage = iota
	// Queued is waiting for its turn.
	Queued
	// Sent is waiting for the answer.
	Sent
)

// Enter notes that a request, whose [Ask] has the context, enters a stage. Other contexts are ignored.
func Enter(ctx context.Context, stage Stage) {
	if l, ok := ctx.Value(timelineKey{}).(*timeline); ok {
		l.enter(stage)
	}
}

// Spent is for how long calls of Get have waited while a request was queued or sent, whoever began it.
type Spent struct{ Queued, Sent time.Duration }

// WithSpent returns a context that makes Get add to a Spent. It is for one goroutine at a time.
func WithSpent(ctx context.Context) (context.Context, *Spent) {
	spent := &Spent{}
	return context.WithValue(ctx, spentKey{}, spent), spent
}

type (
	spentKey    struct{}
	timelineKey struct{}
)

// timeline is when a request has entered which stage.
type timeline struct {
	mu      sync.Mutex
	changes []change // In order. Guarded by mu.
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

// spend adds to ctx's Spent what a call, which has waited since a moment until now, has seen of the stages.
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
