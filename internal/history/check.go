package history

import (
	"fmt"
	"slices"
	"time"
)

// Check returns every rule that h breaks.
func (h History) Check(rules Rules) (all []Violation) {
	for _, rule := range []struct {
		name  string
		check func(History, Rules, func(format string, args ...any))
	}{
		{"Isolated", isolated},
		{"Ordered", ordered},
		{"No-duplicate", noDuplicate},
		{"Terminal-reliable", terminalReliable},
		{"OK-iff-terminal", okIffTerminal},
		{"Fresh", fresh},
		{"One-poll", onePoll},
		{"Released", released},
		{"Polite", polite},
	} {
		rule.check(h, rules, func(format string, args ...any) {
			all = append(all, Violation{rule.name, fmt.Sprintf(format, args...)})
		})
	}
	return all
}

// isolated checks that KooDrive sent each shown state, for this task and this credential, at the stated time.
func isolated(h History, _ Rules, report func(string, ...any)) {
	for _, v := range h.Views {
		for _, e := range v.tasks() {
			if !slices.ContainsFunc(h.of(v.Key), func(a Answer) bool { return confirms(a, e) }) {
				report("%s of %v saw %+v, which KooDrive did not say", v.Surface, v.Key, e)
			}
		}
	}
}

// confirms reports whether a is the answer behind e, a task.
func confirms(a Answer, e Event) bool {
	return a.Task != nil && *a.Task == e.Task && a.Ended <= e.At && sameTime(a.Ended, e.Confirmed)
}

// sameTime compares times in milliseconds, as the contract writes them.
func sameTime(said, shown time.Duration) bool { return said.Truncate(time.Millisecond) == shown }

// ordered checks that states never go back, in one stream and from one watcher to the next while there are watchers;
// that nothing follows the final state; and that confirmations never go back in time.
func ordered(h History, _ Rules, report func(string, ...any)) {
	for _, v := range h.Views {
		rank, confirmed, final := 0, time.Duration(-1), false
		for _, e := range v.Events {
			if e.Kind != TaskSeen && e.Kind != Heartbeat {
				continue
			}
			if final {
				report("%s of %v saw %+v after the final state", v.Surface, v.Key, e)
			}
			if v.InList && e.Kind == Heartbeat { // It confirms the oldest of several tasks.
				continue
			}
			if e.Confirmed >= 0 && e.Confirmed < confirmed {
				report("%s of %v saw %+v, and before it a confirmation of %v", v.Surface, v.Key, e, confirmed)
			}
			confirmed = max(confirmed, e.Confirmed)
			if e.Kind == TaskSeen {
				if e.Task.rank() < rank {
					report("%s of %v saw %+v after rank %d", v.Surface, v.Key, e, rank)
				}
				rank, final = e.Task.rank(), e.Task.Final()
			}
		}
	}
	for _, key := range h.keys() {
		orderedTogether(key, h.watches(key), report)
	}
}

// orderedTogether checks that a new watcher sees no older state than the others have. It skips watchers that stalled:
// they see everything late.
func orderedTogether(key Key, views []View, report func(string, ...any)) {
	var until time.Duration // The end of the present watchers.
	var seen []Event        // The events since then have been watched without a gap.
	for _, v := range views {
		if v.Stall > 0 { // The time of its end is unknown too.
			continue
		}
		if v.Began >= until {
			seen = nil
		}
		until = max(until, v.Ended)
		for _, e := range v.tasks() {
			for _, before := range seen {
				if before.At < e.At && before.Task.rank() > e.Task.rank() {
					report("%s of %v saw %+v, when another watcher had seen %+v", v.Surface, key, e, before)
				}
			}
		}
		seen = append(seen, v.tasks()...)
	}
}

// noDuplicate checks that a task is sent only when it has changed.
func noDuplicate(h History, _ Rules, report func(string, ...any)) {
	for _, v := range h.Views {
		tasks := v.tasks()
		for i := 1; i < len(tasks); i++ {
			if tasks[i].Task == tasks[i-1].Task {
				report("%s of %v saw %+v twice", v.Surface, v.Key, tasks[i])
			}
		}
	}
}

// terminalReliable checks that every watcher sees the final state that KooDrive reports to a watch.
func terminalReliable(h History, rules Rules, report func(string, ...any)) {
	for _, v := range h.Views {
		_, task := v.last()
		if v.Call || task != nil && task.Final() || v.Stall >= rules.Send {
			continue
		}
		for _, a := range h.of(v.Key) {
			if !a.ForCall && a.Task != nil && a.Task.Final() && v.Began <= a.Ended && a.Ended < v.Ended-v.Stall {
				report("%s of %v, from %v to %v, did not see %+v of %v", v.Surface, v.Key, v.Began, v.Ended, *a.Task, a.Ended)
			}
		}
	}
}

// okIffTerminal checks that a stream ends with OK if and only if the final state was its last one, and otherwise with a
// reason. A stream may break only for a client that left, or did not read for too long.
func okIffTerminal(h History, rules Rules, report func(string, ...any)) {
	for _, v := range h.Views {
		last, task := v.last()
		final := task != nil && task.Final()
		switch {
		case v.Call:
		case last.Kind == End && !final:
			report("%s of %v ended well after %+v", v.Surface, v.Key, task)
		case last.Kind == Failure && final:
			report("%s of %v ended with %s after the final state", v.Surface, v.Key, last.Reason)
		case last.Kind == Failure && last.Reason == "":
			report("%s of %v ended without a reason", v.Surface, v.Key)
		case last.Kind != End && last.Kind != Failure && !v.Left && v.Stall < rules.Send:
			report("%s of %v broke off after %+v", v.Surface, v.Key, last)
		}
	}
}

// fresh checks that messages come in time, and do not claim a later confirmation than KooDrive's.
func fresh(h History, rules Rules, report func(string, ...any)) {
	for _, v := range h.Views {
		answers := h.of(v.Key)
		if v.Call {
			freshCall(v, rules, report)
			continue
		}
		heard, limit := v.Began, rules.FirstMessage
		var shown *Task
		for _, e := range v.Events {
			if v.Stall == 0 && e.At-heard > limit {
				report("%s of %v heard nothing from %v to %v", v.Surface, v.Key, heard, e.At)
			}
			heard, limit = e.At, rules.Heartbeat
			switch {
			case e.Kind == TaskSeen:
				shown = &e.Task
			case e.Kind == Heartbeat && v.InList:
				if shown != nil && !e.Failing && e.Confirmed >= 0 && !slices.ContainsFunc(answers, func(a Answer) bool {
					since := a.Ended.Truncate(time.Millisecond) >= e.Confirmed && a.Ended <= e.At
					return since && a.Task != nil && *a.Task == *shown
				}) {
					report("%s of %v saw %+v, and the task in state %v was not confirmed since", v.Surface, v.Key, e, shown)
				}
			case e.Kind == Heartbeat && e.Confirmed >= 0:
				if shown == nil || !slices.ContainsFunc(answers, func(a Answer) bool {
					return a.Task != nil && *a.Task == *shown && sameTime(a.Ended, e.Confirmed)
				}) {
					report("%s of %v saw %+v, which confirms a state that was not shown: %+v", v.Surface, v.Key, e, shown)
				}
			}
		}
		if v.Stall == 0 && v.Ended-heard > limit {
			report("%s of %v heard nothing from %v to its end at %v", v.Surface, v.Key, heard, v.Ended)
		}
		freshEnd(v, answers, rules, report)
	}
}

// freshEnd checks that a watch ends when KooDrive has not answered it for too long, and not before.
func freshEnd(v View, answers []Answer, rules Rules, report func(string, ...any)) {
	since := v.Began
	for _, a := range answers {
		if a.Task != nil && a.Ended <= v.Ended {
			since = max(since, a.Ended)
		}
	}
	silence := v.Ended - since
	last, _ := v.last()
	longest := rules.StaleAfter
	if v.InList { // KooDrive may be asked later, and again after a rejection.
		longest += rules.Held
		for _, a := range answers {
			if a.Refused {
				since = max(since, a.Ended)
			}
		}
		silence = v.Ended - since
	}
	if silence > longest && v.Stall == 0 {
		report("%s of %v went on for %v without an answer", v.Surface, v.Key, silence)
	}
	if last.Reason == "UPSTREAM_STALE" && v.Stall == 0 {
		for _, a := range answers { // A watch does not see the answers to calls.
			if a.Task != nil && !a.ForCall && a.Received >= v.Began && a.Ended < v.Ended && v.Ended-a.Ended < rules.StaleAfter {
				report("%s of %v is stale at %v, and was answered at %v", v.Surface, v.Key, v.Ended, a.Ended)
			}
		}
	}
}

// freshCall checks that KooDrive gave a call's answer during the call, unless the task is finished.
func freshCall(v View, rules Rules, report func(string, ...any)) {
	for _, e := range v.tasks() {
		oldest := v.Began
		if e.Task.Final() {
			oldest -= rules.Keep
		}
		if e.Confirmed < oldest.Truncate(time.Millisecond) {
			report("%s of %v, begun at %v, was answered %+v", v.Surface, v.Key, v.Began, e)
		}
	}
}

// onePoll checks that no two requests about a key are in flight at a time.
func onePoll(h History, _ Rules, report func(string, ...any)) {
	for _, key := range h.keys() {
		answers := h.of(key)
		for i, a := range answers {
			for _, b := range answers[:i] {
				if a.Received < b.Ended && b.Received < a.Ended {
					report("%v was asked for from %v to %v and from %v to %v", key, a.Received, a.Ended, b.Received, b.Ended)
				}
			}
		}
	}
}

// released checks that KooDrive gets no requests for callers that have left.
func released(h History, rules Rules, report func(string, ...any)) {
	for _, a := range h.Answers {
		if !slices.ContainsFunc(h.Views, func(v View) bool {
			return v.Key == a.Key && v.Began <= a.Received && a.Received <= v.Ended+rules.Released
		}) {
			report("%v was asked for at %v, for nobody", a.Key, a.Received)
		}
	}
}

// polite checks that KooDrive gets no more requests than allowed, none with a credential that has to wait, and that
// polls of a task keep their interval.
func polite(h History, rules Rules, report func(string, ...any)) {
	var times []time.Duration
	for _, a := range h.Answers {
		times = append(times, a.Received)
		for _, b := range h.Answers {
			if a.RetryAfter > 0 && b.Credential == a.Credential && b.Received > a.Ended && b.Received < a.Ended+a.RetryAfter {
				report("%s was used at %v, and was to wait from %v for %v", b.Credential, b.Received, a.Ended, a.RetryAfter)
			}
		}
	}
	slices.Sort(times)
	for i := rules.PerSecond; i < len(times); i++ {
		if within := times[i] - times[i-rules.PerSecond]; within < time.Second {
			report("%d requests came within %v, until %v", rules.PerSecond+1, within, times[i])
		}
	}
	for _, key := range h.keys() {
		politeIntervals(key, h, rules, report)
	}
}

// mayBegin reports whether a task of a list may be asked for with the request of a, later than the list begins: for the first
// time, or again after a rejection.
func (v View) mayBegin(a Answer, h History, rules Rules) bool {
	return a.Received <= v.Began+rules.Held || slices.ContainsFunc(h.of(v.Key), func(b Answer) bool {
		return b.Refused && v.Began <= b.Ended && b.Ended < a.Received
	})
}

// politeIntervals checks that consecutive polls keep the minimum interval, unless a watch or a call has begun in
// between. A poll whose connection ended before the answer began may be sent once more.
func politeIntervals(key Key, h History, rules Rules, report func(string, ...any)) {
	var before *Answer
	resent := false
	for _, a := range h.of(key) {
		if a.ForCall {
			continue
		}
		soon := before != nil && a.Received-before.Ended < rules.PollMin && !slices.ContainsFunc(h.Views, func(v View) bool {
			return v.Key == key && v.Began <= a.Received && (v.Began >= before.Received || v.InList && v.mayBegin(a, h, rules))
		})
		if soon && (resent || !before.Cut) {
			report("%v was polled at %v, %v after the poll before", key, a.Received, a.Received-before.Ended)
		}
		before, resent = &a, soon
	}
}
