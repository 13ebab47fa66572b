package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// expected is a line that a client must print: it has one of these keys, like a [line].
type expected struct {
	// Task is the whole task without observeTime, which every task must have. For a Heartbeat's observeTime, only its
	// presence is compared.
	Task      json.RawMessage
	Heartbeat json.RawMessage
	Resume    *expectedResume
	Dropped   *expectedDropped
	Failure   *expectedFailure
	End       *struct{}
	Cancelled *struct{}
	// Each is a task without its id: a Task for each id of the call.
	Each json.RawMessage
	// Repeated allows one or more such lines.
	Repeated bool
}

type expectedResume struct {
	Cause expectedFailure
	After between
	// TaskIDs are the ids, in any order. Not set: the line has no ids.
	TaskIDs taskIDs
}

type expectedDropped struct {
	TaskID string
	expectedFailure
}

// expectedFailure is an expected [failure]. A field that is absent here must be absent there. Errors from kootask must
// also have a message and a request id. For the stub's errors both are known, and [scenario.complete] fills them in.
type expectedFailure struct {
	// Code and Reason may be alternatives, separated by |.
	Code   string
	Reason string

	Retry            *between
	Metadata         map[string]string
	Violations       []violation
	LocalizedMessage string
	// Says is a text that the message contains.
	Says string
	// OfClient means that the client itself made the error, so it has no request id.
	OfClient bool

	message, requestID string // Empty: any.
}

// between is a range of seconds, ends included.
type between [2]float64

func (b between) holds(seconds *float64) error {
	if seconds == nil || *seconds < b[0] || *seconds > b[1] {
		return fmt.Errorf("%s s, and not %v to %v", show(seconds), b[0], b[1])
	}
	return nil
}

func (e expected) kind() string {
	l := line{Task: e.Task, Heartbeat: e.Heartbeat, End: e.End, Cancelled: e.Cancelled}
	switch {
	case e.Resume != nil:
		return "resume"
	case e.Dropped != nil:
		return "dropped"
	case e.Failure != nil:
		return "failure"
	default:
		return l.kind()
	}
}

// failure returns the error in the line; nil without one.
func (e expected) failure() *expectedFailure {
	switch {
	case e.Resume != nil:
		return &e.Resume.Cause
	case e.Dropped != nil:
		return &e.Dropped.expectedFailure
	default:
		return e.Failure
	}
}

// check fails if the expectation can match nothing.
func (e expected) check() error {
	switch e.kind() {
	case "":
		return errors.New("an expected line has no known kind")
	case "task":
		return protojson.Unmarshal(e.Task, &taskv1.Task{})
	case "heartbeat":
		return protojson.Unmarshal(e.Heartbeat, &taskv1.Heartbeat{})
	}
	return nil
}

// compare fails unless the lines are the expected ones of the scenario.
func (s scenario) compare(got []line) error {
	if s.AnyOrder {
		return compareAnyOrder(s.Expect, got, s.Stub == nil)
	}
	return compare(s.Expect, got, s.Stub == nil)
}

// compare fails unless the lines are the expected ones, in order. If heartbeats is set, it allows additional
// heartbeats: a real server sends them when the machine is slow.
func compare(want []expected, got []line, heartbeats bool) error {
	met := false // Whether want[0], which may be repeated, has matched.
	for i, l := range got {
		rest := want
		if met && rest[0].matches(l) != nil {
			rest = rest[1:]
		}
		if heartbeats && l.Heartbeat != nil && (len(rest) == 0 || rest[0].matches(l) != nil) {
			continue
		}
		if len(rest) == 0 {
			return fmt.Errorf("line %d, %s, is not expected", i+1, l.kind())
		}
		if err := rest[0].matches(l); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
		if met = rest[0].Repeated; !met {
			rest = rest[1:]
		}
		want = rest
	}
	if met {
		want = want[1:]
	}
	if len(want) > 0 {
		return fmt.Errorf("after %d lines %s is missing", len(got), want[0].kind())
	}
	return nil
}

// matches returns nil if the line is as expected, and otherwise an error with the difference.
func (e expected) matches(l line) error {
	if e.kind() != l.kind() {
		return fmt.Errorf("%s, and not %s", l.kind(), e.kind())
	}
	switch {
	case e.Task != nil:
		return sameTask(e.Task, l.Task)
	case e.Heartbeat != nil:
		return sameHeartbeat(e.Heartbeat, l.Heartbeat)
	case e.Resume != nil:
		if err := e.Resume.After.holds(l.Resume.AfterSeconds); err != nil {
			return fmt.Errorf("resumes after %w", err)
		}
		if !sameIDs(e.Resume.TaskIDs, l.Resume.TaskIDs) {
			return fmt.Errorf("resumes the tasks %q, and not %q", l.Resume.TaskIDs, e.Resume.TaskIDs)
		}
		return e.Resume.Cause.matches(l.Resume.Cause)
	case e.Dropped != nil:
		if l.Dropped.TaskID != e.Dropped.TaskID {
			return fmt.Errorf("the task %q is dropped, and not %q", l.Dropped.TaskID, e.Dropped.TaskID)
		}
		return e.Dropped.matches(&l.Dropped.failure)
	case e.Failure != nil:
		return e.Failure.matches(l.Failure)
	}
	return nil
}

func sameTask(want, got json.RawMessage) error {
	var w, g taskv1.Task
	if err := errors.Join(protojson.Unmarshal(want, &w), protojson.Unmarshal(got, &g)); err != nil {
		return fmt.Errorf("%s: %w", got, err)
	}
	if age := time.Since(g.GetObserveTime().AsTime()); g.ObserveTime == nil || age < -time.Minute || age > time.Hour {
		return fmt.Errorf("the task was observed at %v", g.GetObserveTime().AsTime())
	}
	g.ObserveTime = nil
	if !proto.Equal(&w, &g) {
		return fmt.Errorf("the task is %.1000v, and not %.1000v", &g, &w)
	}
	return nil
}

func sameHeartbeat(want, got json.RawMessage) error {
	var w, g taskv1.Heartbeat
	if err := errors.Join(protojson.Unmarshal(want, &w), protojson.Unmarshal(got, &g)); err != nil {
		return fmt.Errorf("%s: %w", got, err)
	}
	if (w.ObserveTime != nil) != (g.ObserveTime != nil) {
		return fmt.Errorf("the heartbeat was confirmed at %v", g.GetObserveTime())
	}
	w.ObserveTime, g.ObserveTime = nil, nil
	if !proto.Equal(&w, &g) {
		return fmt.Errorf("the heartbeat is %v, and not %v", &g, &w)
	}
	return nil
}

func (e expectedFailure) matches(f *failure) error {
	if f == nil {
		return errors.New("the error is missing")
	}
	var wrong []string
	check := func(what string, holds bool) {
		if !holds {
			wrong = append(wrong, what)
		}
	}
	check("code", slices.Contains(strings.Split(e.Code, "|"), f.Code))
	check("reason", slices.Contains(strings.Split(e.Reason, "|"), f.Reason))
	known := f.Reason
	if taskv1.ErrorReason_value[f.Reason] == 0 {
		known = ""
	}
	check("known", f.Known == known)
	check("message", strings.Contains(f.Message, e.Says))
	if e.message == "" {
		check("message", f.Message != "" || f.Reason == "")
		check("requestId", (f.RequestID != "") == (f.Reason != "" && !e.OfClient))
	} else {
		check("message", f.Message == e.message)
		check("requestId", f.RequestID == e.requestID)
	}
	check("metadata", maps.Equal(f.Metadata, e.Metadata))
	check("violations", slices.Equal(f.Violations, e.Violations))
	check("localizedMessage", f.LocalizedMessage == e.LocalizedMessage)
	if e.Retry == nil {
		check("retryAfterSeconds", f.RetryAfterSeconds == nil)
	} else {
		check("retryAfterSeconds", e.Retry.holds(f.RetryAfterSeconds) == nil)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s of the error: %s, and not %s", strings.Join(wrong, ", "), show(f), show(e))
	}
	return nil
}

// show returns a value as text.
func show(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
