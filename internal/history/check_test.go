package history_test

import (
	"slices"
	"testing"
	"time"

	"github.com/kootask/kootask/internal/history"
)

const second = time.Second

var (
	key   = history.Key{Credential: "a", TaskID: "1"}
	other = history.Key{Credential: "b", TaskID: "1"}
	rules = history.Rules{
		FirstMessage: 2 * second, Heartbeat: 15 * second, StaleAfter: 40 * second, Send: 30 * second, Keep: 60 * second,
		PollMin: second / 2, Released: second, PerSecond: 5, Held: 10 * second,
	}
)

func task(name string, status int64) history.Task { return history.Task{Name: name, Status: status} }

// again records a request as sent several times: all but the last time the connection is cut.
func again(h *history.History, times int) {
	for i := range times {
		at := 12*second + 3*second/5 + time.Duration(i)*second/10
		h.Answers = append(h.Answers, history.Answer{Key: key, Received: at, Ended: at, Cut: i < times-1})
	}
}

func saw(at time.Duration, t history.Task) history.Event {
	return history.Event{At: at, Kind: history.TaskSeen, Task: t, Confirmed: at}
}

// good is a history that breaks no rule: a watch from NEW to SUCCESS with a heartbeat and a failure in between, one that joins
// it and leaves, and a call.
func good() history.History {
	answer := func(from, to time.Duration, t *history.Task) history.Answer {
		return history.Answer{Key: key, Received: from, Ended: to, Task: t}
	}
	call := answer(21*second, 21*second, new(task("two", 1)))
	call.ForCall = true
	beat := history.Event{At: 18 * second, Kind: history.Heartbeat, Confirmed: 12 * second}
	return history.History{
		Answers: []history.Answer{
			answer(0, second, new(task("one", 0))),
			answer(3*second, 3*second, new(task("two", 1))),
			answer(12*second, 12*second, new(task("two", 1))),
			answer(15*second, 16*second, new(task("one", 0))), // A step back.
			call,
			answer(25*second, 26*second, nil),
			answer(30*second, 30*second, new(task("last", 2))),
		},
		Views: []history.View{
			{Key: key, Surface: "first", Ended: 30 * second, Events: []history.Event{
				saw(second, task("one", 0)), saw(3*second, task("two", 1)), beat, saw(30*second, task("last", 2)), {At: 30 * second, Kind: history.End, Confirmed: -1},
			}},
			{Key: key, Surface: "second", Began: 10 * second, Ended: 25*second + 1, Left: true, Events: []history.Event{
				{At: 10 * second, Kind: history.TaskSeen, Task: task("two", 1), Confirmed: 3 * second}, {At: 25 * second, Kind: history.Heartbeat, Confirmed: 12 * second},
			}},
			{Key: key, Surface: "call", Call: true, Began: 20 * second, Ended: 21 * second, Events: []history.Event{saw(21*second, task("two", 1))}},
			{Key: key, Surface: "list", InList: true, Began: 2 * second, Ended: 26*second + 1, Left: true, Events: []history.Event{
				{At: 3 * second, Kind: history.Other, Confirmed: -1}, saw(3*second, task("two", 1)),
				{At: 17 * second, Kind: history.Heartbeat, Confirmed: 11 * second}, {At: 26 * second, Kind: history.Heartbeat, Confirmed: -1, Failing: true},
			}},
		},
	}
}

func TestGoodHistory(t *testing.T) {
	h := good()
	if broken := h.Check(rules); len(broken) > 0 {
		t.Error(broken)
	}
	if c := h.Count(); c != (history.Counts{Answers: 7, Regressions: 1, LeavesInFlight: 1}) {
		t.Errorf("%+v", c)
	}
}

// Each violation breaks its own rule, and only the other rules that its row names.
func TestEveryRuleCanBeBroken(t *testing.T) {
	for name, row := range map[string]struct {
		spoil func(h *history.History)
		want  []string
	}{
		"a name that nobody said": {func(h *history.History) { h.Views[0].Events[1].Task.Name = "three" }, []string{"Isolated", "Fresh"}},
		"another's task": {func(h *history.History) {
			h.Answers = append(h.Answers, history.Answer{Key: other, Received: 3 * second, Ended: 3 * second, Task: new(task("theirs", 1))})
			h.Views[0].Events[1].Task.Name = "theirs"
			h.Views = append(h.Views, history.View{Key: other, Surface: "other", Began: 3 * second, Ended: 4 * second, Left: true})
		}, []string{"Isolated", "Fresh"}},
		"a false confirmation": {func(h *history.History) { h.Views[0].Events[1].Confirmed = 2 * second }, []string{"Isolated"}},
		"before it was said":   {func(h *history.History) { h.Views[0].Events[3].At = 29 * second }, []string{"Isolated"}},
		"a step back": {func(h *history.History) {
			h.Views[0].Events = slices.Insert(h.Views[0].Events, 2, saw(16*second, task("one", 0)))
		}, []string{"Ordered", "Fresh"}},
		"an older confirmation":                         {func(h *history.History) { h.Views[0].Events[2].Confirmed = second }, []string{"Ordered", "Fresh"}},
		"a list's confirmation that not all tasks have": {func(h *history.History) { h.Views[3].Events[2].Confirmed = 13 * second }, []string{"Fresh"}},
		"a confirmation of a list without a failing task": {func(h *history.History) {
			h.Views[3].Events[3] = history.Event{At: 26 * second, Kind: history.Heartbeat, Confirmed: 26 * second}
		}, []string{"Fresh"}},
		"a list that ends well without the last state": {func(h *history.History) {
			h.Views[3].Events = append(h.Views[3].Events, history.Event{At: 26 * second, Kind: history.End, Confirmed: -1})
		}, []string{"OK-iff-terminal"}},
		"more after the last": {func(h *history.History) {
			h.Views[0].Events = slices.Insert(h.Views[0].Events, 4, history.Event{At: 30 * second, Kind: history.Heartbeat, Confirmed: 30 * second})
		}, []string{"Ordered"}},
		"a joiner that sees less": {func(h *history.History) {
			h.Views[1].Events[0] = history.Event{At: 10 * second, Kind: history.TaskSeen, Task: task("one", 0), Confirmed: second}
		}, []string{"Ordered", "Fresh"}},
		"twice the same": {func(h *history.History) {
			h.Views[0].Events = slices.Insert(h.Views[0].Events, 2, saw(12*second, task("two", 1)))
		}, []string{"No-duplicate"}},
		"the last state is lost": {func(h *history.History) {
			h.Views[0].Ended = 31 * second
			h.Views[0].Events = append(h.Views[0].Events[:3], history.Event{At: 31 * second, Kind: history.Failure, Reason: "SERVER_DRAINING", Confirmed: -1})
		}, []string{"Terminal-reliable"}},
		"well without the last state": {func(h *history.History) {
			h.Answers = h.Answers[:6]
			h.Views[0].Events = slices.Delete(h.Views[0].Events, 3, 4)
		}, []string{"OK-iff-terminal"}},
		"badly with it": {func(h *history.History) {
			h.Views[0].Events[4] = history.Event{At: 30 * second, Kind: history.Failure, Reason: "X", Confirmed: -1}
		}, []string{"OK-iff-terminal"}},
		"without a reason": {func(h *history.History) {
			h.Answers = h.Answers[:6]
			h.Views[0].Events[3] = history.Event{At: 30 * second, Kind: history.Failure, Confirmed: -1}
			h.Views[0].Events = h.Views[0].Events[:4]
		}, []string{"OK-iff-terminal"}},
		"broken off":        {func(h *history.History) { h.Answers = h.Answers[:6]; h.Views[0].Events = h.Views[0].Events[:3] }, []string{"OK-iff-terminal"}},
		"a late beginning":  {func(h *history.History) { h.Views[0].Began = -2 * second }, []string{"Fresh"}},
		"silence":           {func(h *history.History) { h.Views[0].Events = slices.Delete(h.Views[0].Events, 2, 3) }, []string{"Fresh"}},
		"silence, and left": {func(h *history.History) { h.Views[1].Events = h.Views[1].Events[:1] }, []string{"Fresh"}},
		"a heartbeat of an unshown state": {func(h *history.History) {
			h.Answers[2].Task.Name = "three"
		}, []string{"Fresh"}},
		"pretending": {func(h *history.History) {
			h.Answers, h.Views[0].Ended = h.Answers[:6], 75*second
			h.Views[0].Events = h.Views[0].Events[:3]
			for at := 30 * second; at < 75*second; at += 10 * second {
				h.Views[0].Events = append(h.Views[0].Events, history.Event{At: at, Kind: history.Heartbeat, Confirmed: 12 * second})
			}
			h.Views[0].Events = append(h.Views[0].Events, history.Event{At: 75 * second, Kind: history.Failure, Reason: "UPSTREAM_STALE", Confirmed: -1})
		}, []string{"Fresh"}},
		"stale too soon": {func(h *history.History) {
			h.Answers = h.Answers[:6]
			h.Views[0].Events = append(h.Views[0].Events[:3], history.Event{At: 30 * second, Kind: history.Failure, Reason: "UPSTREAM_STALE", Confirmed: -1})
		}, []string{"Fresh"}},
		"a call that is answered from before": {func(h *history.History) { h.Views[2].Events[0].Confirmed = 12 * second }, []string{"Fresh"}},
		"two at a time":                       {func(h *history.History) { h.Answers[4].Received = 11 * second; h.Views[2].Began = 11 * second }, []string{"One-poll"}},
		"for nobody": {func(h *history.History) {
			h.Answers = append(h.Answers, history.Answer{Key: key, Received: 32 * second, Ended: 32 * second})
		}, []string{"Released"}},
		"nobody's any more": {func(h *history.History) { h.Views = h.Views[1:] }, []string{"Released"}},
		"too many": {func(h *history.History) {
			for i := range 6 {
				at := 27*second + time.Duration(i)*second/10
				h.Answers = append(h.Answers, history.Answer{Key: key, Received: at, Ended: at, ForCall: true})
			}
		}, []string{"Polite"}},
		"against its wish": {func(h *history.History) { h.Answers[5].RetryAfter = 10 * second }, []string{"Polite"}},
		"a poll too soon": {func(h *history.History) {
			h.Answers = append(h.Answers, history.Answer{Key: key, Received: 12*second + second/10, Ended: 12*second + second/10})
		}, []string{"Polite"}},
		"a request that is sent again after it was cut": {func(h *history.History) { again(h, 2) }, nil},
		"one that is sent again twice":                  {func(h *history.History) { again(h, 3) }, []string{"Polite"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := good()
			row.spoil(&h)
			broken := map[string]bool{}
			for _, v := range h.Check(rules) {
				broken[v.Rule] = true
			}
			for _, rule := range row.want {
				if !broken[rule] {
					t.Errorf("%s is not broken: %v", rule, h.Check(rules))
				}
				delete(broken, rule)
			}
			if len(broken) > 0 {
				t.Errorf("%v", h.Check(rules))
			}
		})
	}
}
