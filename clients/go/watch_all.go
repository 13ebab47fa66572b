package kootask

import (
	"context"
	"iter"
	"slices"
	"sync"
	"time"
)

// gathering is how long a dropped task may wait, beyond its delay, for the delays of others. They then share a stream: after
// an outage of KooDrive, each of many tasks would have its own.
const gathering = 30 * time.Second

// WatchAll yields every event of a watch of any number of tasks, all in the caller's goroutine. It opens a stream for every
// 100 ids, and for the tasks that are watched again. An id that is named twice is watched once. Each task comes as in
// [Client.Watch], and the order of different tasks is not defined. The tasks of a Heartbeat or Resume are in its TaskIDs.
//
// The sequence ends when each task was yielded finished, or dropped without Retry. A task that is dropped with Retry is
// watched again after RetryAfter, or up to 30 s later, together with others. If it is dropped again before its next state,
// the delay is at least that after a broken connection.
//
// Each stream resumes like that of [Client.Events], with the tasks that have not ended. The sequence also ends with an
// [*Error], which comes last, if any of the streams would. An invalid id, or none, is the error REQUEST_INVALID, whose
// Violations count the distinct ids of one stream. Leaving the loop ends all streams, and waits for their goroutines.
func (c *Client) WatchAll(ctx context.Context, ids []string, options ...Option) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		l := &list{client: c, tasks: map[string]*watched{}, results: make(chan result)}
		defer l.watches.Wait()
		ctx, _, leave := c.beginWatch(ctx, options)
		defer leave()
		l.run(ctx, ids, c.explained(ctx, yield))
	}
}

// list is a watch of any number of tasks. Each of its watchers has a goroutine; the rest is done in the caller's.
//
// A task belongs to a watcher until that has sent its end. A task that was dropped with a delay gets a new watcher, and
// the other tasks keep their stream: on a new one, fewer failed polls would drop them.
type list struct {
	client  *Client
	tasks   map[string]*watched
	results chan result // Of all watchers. Never closed.

	watches sync.WaitGroup
	running int              // Watchers that have not ended.
	parked  []*watched       // Tasks to be watched again.
	alarm   <-chan time.Time // When that is due. Nil: no task is parked.
}

// result is what a watcher yields, or its end.
type result struct {
	event Event
	err   error
	end   bool
}

func (l *list) run(ctx context.Context, ids []string, yield func(Event, error) bool) {
	l.watchNew(ctx, ids)
	for l.running > 0 || len(l.parked) > 0 {
		select {
		case r := <-l.results:
			if r.end {
				l.running--
				continue
			}
			if r.event.Dropped != nil && r.event.Dropped.Retry {
				l.park(r.event.Dropped)
			}
			if !yield(r.event, r.err) || r.err != nil {
				return
			}
		case <-l.alarm:
			l.watchAgain(ctx)
		case <-ctx.Done():
			yield(Event{}, ended(ctx))
			return
		}
	}
}

// watchNew begins to watch the distinct ids. Without an id, kootask says what is wrong.
func (l *list) watchNew(ctx context.Context, ids []string) {
	var tasks []*watched
	for _, id := range ids {
		if l.tasks[id] == nil {
			l.tasks[id] = &watched{id: id}
			tasks = append(tasks, l.tasks[id])
		}
	}
	if len(tasks) == 0 {
		l.start(ctx, nil)
	}
	l.watch(ctx, tasks)
}

// watch begins to watch tasks, with as many streams as it takes.
func (l *list) watch(ctx context.Context, tasks []*watched) {
	for part := range slices.Chunk(tasks, perStream) {
		l.start(ctx, part)
	}
}

// start starts the watcher of tasks, which owns the slice. It ends when ctx does, at the latest.
func (l *list) start(ctx context.Context, tasks []*watched) {
	send := func(r result) bool {
		select {
		case l.results <- r:
			return true
		case <-ctx.Done():
			return false
		}
	}
	w := &watcher{
		client: l.client, open: l.client.several, tasks: tasks,
		yield: func(event Event, err error) bool { return send(result{event: event, err: err}) },
	}
	l.running++
	l.watches.Go(func() {
		w.run(ctx)
		send(result{end: true})
	})
}

// park notes that a dropped task is to be watched again.
func (l *list) park(dropped *Error) {
	t := l.tasks[dropped.TaskID]
	t.due = time.Now().Add(retryDelay(dropped, t.drops))
	l.parked = append(l.parked, t)
	l.setAlarm()
}

// watchAgain watches the parked tasks that are due.
func (l *list) watchAgain(ctx context.Context) {
	var due []*watched
	now := time.Now()
	l.parked = slices.DeleteFunc(l.parked, func(t *watched) bool {
		isDue := !t.due.After(now)
		if isDue {
			due = append(due, t)
		}
		return isDue
	})
	l.watch(ctx, due)
	l.setAlarm()
}

// setAlarm sets the alarm to the time when all parked tasks are due, or the first one has waited long enough for the others.
func (l *list) setAlarm() {
	if len(l.parked) == 0 {
		l.alarm = nil
		return
	}
	byDue := func(a, b *watched) int { return a.due.Compare(b.due) }
	first, last := slices.MinFunc(l.parked, byDue), slices.MaxFunc(l.parked, byDue)
	l.alarm = time.After(min(time.Until(last.due), time.Until(first.due)+gathering))
}
