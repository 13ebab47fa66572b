// Package history compares the messages that clients of the service saw with KooDrive's answers. It reports every broken rule of
// a watch, with any clients that came, left or stalled, and any faults. It does not know how the two were recorded, and of the
// service it knows only the rules and their numbers.
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

// History is all answers and messages. Times count from its beginning.
type History struct {
	Answers []Answer
	Views   []View
}

// Key is a task with the credential that reads it.
type Key struct{ Credential, TaskID string }

// Task is the part of a task by which answers differ.
type Task struct {
	Name   string
	Status int64
}

// String leaves out the filling of a long name.
func (t Task) String() string {
	name, _, _ := strings.Cut(t.Name, "xx")
	return fmt.Sprintf("%s in state %d", name, t.Status)
}

// Final reports whether a task no longer changes.
func (t Task) Final() bool { return t.Status == 2 || t.Status == 3 }

// rank orders states. An unknown one counts as executing.
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

// Answer is a request that KooDrive got, and its answer.
type Answer struct {
	Key
	Received, Ended time.Duration
	// ForCall marks a request for a call, and not for a watch.
	ForCall bool
	// Refused marks a rejected credential.
	Refused bool
	// Cut marks a connection that ended before the answer began.
	Cut bool
	// RetryAfter is the time for which KooDrive refuses requests with the credential.
	RetryAfter time.Duration
	// Task is nil if the answer has no task.
	Task *Task
}

// inFlightAt reports whether the request was in flight when a client left. If it was the last client, the request ended
// then.
func (a Answer) inFlightAt(left time.Duration) bool {
	return a.Received <= left && left < a.Ended || a.Received < left && left == a.Ended && a.Task == nil
}

// View is the record of one watch or one call, from its beginning to its end.
type View struct {
	Key
	// Surface is its name in the output.
	Surface string
	// Call marks a call, and not a watch.
	Call         bool
	Began, Ended time.Duration
	// Left marks a client that left.
	Left bool
	// Stall is the longest time for which the client did not read. A client that has stalled sees everything late.
	Stall time.Duration
	// InList marks a task of a watch of several tasks, and not a watch of its own. Its heartbeats are those of all tasks.
	InList bool
	Events []Event
}

// Kinds of events.
const (
	TaskSeen  = "task"
	Heartbeat = "heartbeat"
	End       = "end"     // The end of a stream with OK.
	Failure   = "failure" // Any other end of a stream, or the end of a call.
	Other     = "other"   // Of another task of the list.
)

// Event is an event that a client saw.
type Event struct {
	At   time.Duration
	Kind string
	Task Task // Of a task.
	// Confirmed is the time of KooDrive's last confirmation in a task or a heartbeat, negative without one.
	Confirmed time.Duration
	Failing   bool   // The heartbeat of a list names the task as failing.
	Reason    string // Of a failure.
}

// Rules are the numbers of the rules.
type Rules struct {
	FirstMessage, Heartbeat, StaleAfter, Send time.Duration
	// Held is the time for which a task of a list may wait until KooDrive is asked for it.
	Held time.Duration
	// Keep is the time for which a finished task is remembered.
	Keep time.Duration
	// PollMin is the shortest interval between two polls, with the jitter subtracted.
	PollMin time.Duration
	// Released is the time after the last client has left within which polls end.
	Released time.Duration
	// PerSecond is the maximum number of requests in a second.
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

// keys returns all requested keys.
func (h History) keys() (keys []Key) {
	for _, a := range h.Answers {
		if !slices.Contains(keys, a.Key) {
			keys = append(keys, a.Key)
		}
	}
	return keys
}

// last returns the last event of v, and the last task that it saw.
func (v View) last() (last Event, task *Task) {
	for _, e := range v.Events {
		last = e
		if e.Kind == TaskSeen {
			task = &e.Task
		}
	}
	return last, task
}

// tasks returns the tasks that v saw.
func (v View) tasks() (tasks []Event) {
	for _, e := range v.Events {
		if e.Kind == TaskSeen {
			tasks = append(tasks, e)
		}
	}
	return tasks
}

// Counts are the numbers of the events that make a history worth judging.
type Counts struct{ Answers, Regressions, Flips, FinalJoins, LeavesInFlight, Stalls int }

// Add adds the counts of another history.
func (c *Counts) Add(d Counts) {
	c.Answers += d.Answers
	c.Regressions += d.Regressions
	c.Flips += d.Flips
	c.FinalJoins += d.FinalJoins
	c.LeavesInFlight += d.LeavesInFlight
	c.Stalls += d.Stalls
}

// Count counts the events of a history.
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
		if v.Left && slices.ContainsFunc(h.Answers, func(a Answer) bool { return a.Key == v.Key && a.inFlightAt(v.Ended) }) {
			c.LeavesInFlight++
		}
	}
	return c
}
