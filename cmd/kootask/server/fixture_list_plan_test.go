package server_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kootask/kootask/internal/history"
	"github.com/kootask/kootask/upstream/koodrivetest"
)

// listPlan is the behaviour of a client that watches lists. When it leaves one, it has begun the next.
type listPlan struct {
	plan
	lists [][]string // Ids of the tasks, one list after the other.
}

// moreTasks gives each credential another task, which only lists have.
func moreTasks(r *rand.Rand, rec *recorder) {
	for name, k := range rec.koodrives {
		key := history.Key{Credential: name, TaskID: "task-2"}
		k.SetTask(koodrivetest.Task{ID: key.TaskID, Steps: life(r, key)})
	}
}

func newListPlan(r *rand.Rand, surface string, keys []history.Key, length time.Duration) listPlan {
	p := listPlan{plan: newPlan(r, len(keys), keys, length)}
	p.surface, p.calls = surface, false
	all := []string{"task-2"}
	for _, key := range keys {
		if key.Credential == p.key.Credential {
			all = append(all, key.TaskID)
		}
	}
	for range 1 + r.IntN(4) {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		p.lists = append(p.lists, slices.Clone(all[:1+r.IntN(len(all))]))
	}
	return p
}

// follow plays the plan, and records a view for each task of each list.
func (p listPlan) follow(ctx context.Context, t *testing.T, s *system, rec *recorder, over <-chan struct{}, record func(history.View)) {
	select {
	case <-time.After(p.start):
	case <-over:
		return
	}
	leave, left := func() {}, make(chan struct{})
	close(left)
	for _, ids := range p.lists {
		select {
		case <-over:
			continue
		default:
		}
		staying, cancel := context.WithCancel(ctx)
		begun, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			p.one(staying, t, s, rec, ids, begun, record)
		}()
		select {
		case <-begun:
		case <-ended:
		}
		leave() // The list before.
		<-left
		leave, left = cancel, ended
		select {
		case <-time.After(p.stay / time.Duration(len(p.lists))):
		case <-ended:
		case <-over:
		}
	}
	leave()
	<-left
}

// one watches a list. It closes begun at the first event.
func (p listPlan) one(ctx context.Context, t *testing.T, s *system, rec *recorder, ids []string, begun chan struct{}, record func(history.View)) {
	views := map[string]*history.View{}
	for _, id := range ids {
		views[id] = &history.View{
			Key: history.Key{Credential: p.key.Credential, TaskID: id}, Surface: "list over " + p.surface, InList: true, Began: time.Since(rec.start),
		}
	}
	open := func(v *history.View) bool {
		n := len(v.Events)
		return n == 0 || v.Events[n-1].Kind != history.End && v.Events[n-1].Kind != history.Failure
	}
	delayed := map[string]bool{}
	seen := 0
	watcher := &system{tasks: s.tasks, http: s.http, credential: p.key.Credential}
	watcher.followTasks(ctx, t, p.surface, ids, func(e event) {
		if seen == 0 {
			close(begun)
		}
		e = e.parsed(t)
		at := time.Since(rec.start)
		of := e.task.GetTaskId() + e.drop.GetTaskId()
		for id, v := range views {
			event := history.Event{At: at, Kind: history.Other, Confirmed: -1}
			switch {
			case e.name == "end" || e.name == "failure":
				// It is the end of the tasks that have not ended, and says of the others that they have, if it is OK.
				if e.name == "end" && delayed[id] || open(v) {
					event = rec.event(e)
					v.Ended = at
				} else {
					continue
				}
			case !open(v):
				if of == id {
					t.Errorf("list over %s: %+v of a task that has ended", p.surface, e)
				}
				continue
			case e.name == "heartbeat":
				event = rec.event(e)
				event.Failing = slices.Contains(e.beat.GetFailingTaskIds(), id)
			case of != id:
			case e.name == "dropped":
				event.Kind, event.Reason = history.Failure, e.drop.GetReason()
				delayed[id] = e.drop.GetRetryDelay() != nil
				v.Ended = at
			default:
				event = rec.event(e)
			}
			v.Events = append(v.Events, event)
			if e.task.GetDone() && of == id {
				v.Events = append(v.Events, history.Event{At: at, Kind: history.End, Confirmed: -1})
				v.Ended = at
			}
		}
		if e.name == "failure" && e.err == nil && len(delayed) == 0 && !slices.ContainsFunc(ids, func(id string) bool { return views[id].Ended == at }) {
			t.Errorf("list over %s: %+v, although each task had ended for good", p.surface, e)
		}
		if seen == p.stallAt {
			for _, v := range views {
				v.Stall = p.stall
			}
			<-time.After(p.stall)
		}
		seen++
	})
	for _, v := range views {
		v.Left = ctx.Err() != nil
		if n := len(v.Events); v.Left && n > 0 && v.Events[n-1].Kind == history.Failure && v.Events[n-1].Reason == "" {
			v.Events = v.Events[:n-1] // Its own library's error for a client that has left.
		}
		if v.Ended == 0 || open(v) {
			v.Ended = time.Since(rec.start)
		}
		record(*v)
	}
}
