// Package history judges what clients of the service saw against what KooDrive said: whether every rule of a watch was kept,
// whoever came, left or stalled, and whatever went wrong. It knows nothing of how either was recorded, and nothing of the
// service but its rules and their numbers.
//
//	for _, v := range (history.History{Answers: answers, Views: views}).Check(rules) {
//		t.Error(v)
//	}
package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// History is all that was said and seen. Times count from its beginning.
type History struct {
	Answers []Answer
	Views   []View
}

// Key is what may be known: a task, to whoever has a credential.
type Key struct{ Credential, TaskID string }

// Task is how a task stands, as far as it tells one answer from another.
type Task struct {
	Name   string
	Status int64
}

// String leaves out what a long name is filled up with.
func (t Task) String() string {
	name, _, _ := strings.Cut(t.Name, "xx")
	return fmt.Sprintf("%s in state %d", name, t.Status)
}

// Final tells that a task does not change any more.
func (t Task) Final() bool { return t.Status == 2 || t.Status == 3 }

// rank orders states: what is not known counts as executing.
func (t Task) rank() int {
	switch {
	case t.Status == 0:
		return 0
	case t.Final():
		return 2
	default:
		return 1
	}
}

// Answer is a request that KooDrive got, and what it said.
type Answer struct {
	Key
	Received, Ended time.Duration
	// ForCall tells that it was made for a call, and not for a watch.
	ForCall bool
	// Refused tells that the credential was not accepted.
	Refused bool
	// Cut tells that the connection ended before the answer began.
	Cut bool
	// RetryAfter is for how long KooDrive asked not to be asked with the credential.
	RetryAfter time.Duration
	// Task is nil if the answer does not say how the task stands.
	Task *Task
}

// underWay tells that the request was, when somebody left. If it was the last one, the request ended with that.
func (a Answer) underWay(left time.Duration) bool {
	return a.Received <= left && left < a.Ended || a.Received < left && left == a.Ended && a.Task == nil
}

// View is what one watch or one call saw, from its beginning to its end.
type View struct {
	Key
	// Surface names it in what is printed.
	Surface string
	// Call tells a call from a watch.
	Call         bool
	Began, Ended time.Duration
	// Left tells that the client ended it.
	Left bool
	// Stall is the longest time for which the client did not read. A client that has stalled sees everything late.
	Stall  time.Duration
	Events []Event
}

// Kinds of events.
const (
	TaskSeen  = "task"
	Heartbeat = "heartbeat"
	End       = "end"     // The end of a stream that ended well.
	Failure   = "failure" // The end of one that did not, or of a call.
)

// Event is one that a client saw.
type Event struct {
	At   time.Duration
	Kind string
	Task Task // Of a task.
	// Confirmed is when KooDrive confirmed the task last, as a task or a heartbeat says; negative if it does not.
	Confirmed time.Duration
	Reason    string // Of a failure.
}

// Rules are the numbers of the rules.
type Rules struct {
	FirstMessage, Heartbeat, StaleAfter, Send time.Duration
	// Keep is how long a finished task is remembered.
	Keep time.Duration
	// PollMin is the shortest interval between two polls, the random fifth taken off.
	PollMin time.Duration
	// Released is how soon after the last one has left KooDrive is not asked any more.
	Released time.Duration
	// PerSecond is how many requests there may be in a second.
	PerSecond int
}

// Violation is a rule that was broken.
type Violation struct{ Rule, Text string }

func (v Violation) String() string { return v.Rule + ": " + v.Text }

// of returns the answers about a key, in order.
func (h History) of(key Key) (answers []Answer) {
	for _, a := range h.Answers {
		if a.Key == key {
			answers = append(answers, a)
		}
	}
	slices.SortStableFunc(answers, func(a, b Answer) int { return cmp.Compare(a.Ended, b.Ended) })
	return answers
}

// watches returns the watches of a key, in order.
func (h History) watches(key Key) (views []View) {
	for _, v := range h.Views {
		if v.Key == key && !v.Call {
			views = append(views, v)
		}
	}
	slices.SortStableFunc(views, func(a, b View) int { return cmp.Compare(a.Began, b.Began) })
	return views
}

// keys are those that anybody asked for.
func (h History) keys() (keys []Key) {
	for _, a := range h.Answers {
		if !slices.Contains(keys, a.Key) {
			keys = append(keys, a.Key)
		}
	}
	return keys
}

// last is the last event of v, and the last task that it saw.
func (v View) last() (last Event, task *Task) {
	for _, e := range v.Events {
		last = e
		if e.Kind == TaskSeen {
			task = &e.Task
		}
	}
	return last, task
}

// tasks are the tasks that v saw.
func (v View) tasks() (tasks []Event) {
	for _, e := range v.Events {
		if e.Kind == TaskSeen {
			tasks = append(tasks, e)
		}
	}
	return tasks
}

// Counts are how often a history has what makes it worth judging.
type Counts struct{ Answers, Regressions, Flips, FinalJoins, LeavesInFlight, Stalls int }

// Add adds.
func (c *Counts) Add(d Counts) {
	c.Answers += d.Answers
	c.Regressions += d.Regressions
	c.Flips += d.Flips
	c.FinalJoins += d.FinalJoins
	c.LeavesInFlight += d.LeavesInFlight
	c.Stalls += d.Stalls
}

// Count counts.
func (h History) Count() (c Counts) {
	c.Answers = len(h.Answers)
	for _, key := range h.keys() {
		rank, refused := 0, false
		for i, a := range h.of(key) {
			if a.Task != nil {
				if a.Task.rank() < rank {
					c.Regressions++
				}
				rank = max(rank, a.Task.rank())
			}
			if i > 0 && a.Refused != refused {
				c.Flips++
			}
			refused = a.Refused
		}
	}
	for _, v := range h.Views {
		if tasks := v.tasks(); !v.Call && len(tasks) > 0 && tasks[0].Task.Final() {
			c.FinalJoins++
		}
		if v.Stall > 0 {
			c.Stalls++
		}
		if v.Left && slices.ContainsFunc(h.Answers, func(a Answer) bool { return a.Key == v.Key && a.underWay(v.Ended) }) {
			c.LeavesInFlight++
		}
	}
	return c
}
