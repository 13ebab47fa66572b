package main

import "encoding/json"

// command is the line that a client's program reads from its standard input. All but the first three may be missing; what is
// missing the program leaves to the client. A key that it does not know it refuses, with exit code 2. Times are in seconds.
type command struct {
	// Call is get or watch: a task once, or all that happens while one is watched.
	Call string `json:"call"`
	// Addr speaks plaintext.
	Addr   string `json:"addr"`
	TaskID string `json:"taskId"`

	Token    string `json:"token,omitempty"`
	UserID   string `json:"userId,omitempty"`
	Language string `json:"language,omitempty"`
	// CallerTokens are what the client's provider of such tokens returns, one each time that it is asked, and the last one again and
	// again.
	CallerTokens      []string `json:"callerTokens,omitempty"`
	MaxAge            *float64 `json:"maxAge,omitempty"`
	FailedTaskAsError bool     `json:"failedTaskAsError,omitempty"`
	// Deadline is for all of the call, with everything that it waits for.
	Deadline *float64 `json:"deadline,omitempty"`
	// CancelAfterTasks is after how many tasks the program leaves the watch, as is usual in its language.
	CancelAfterTasks int `json:"cancelAfterTasks,omitempty"`
}

// line is one that the program prints, at once: an object with one of these keys. Failure, end and cancelled are the last one;
// after it the program waits until its standard input ends, and exits with 0. What it has to say otherwise it says to its
// standard error.
type line struct {
	// Task and Heartbeat are the contract's, in proto3's JSON.
	Task      json.RawMessage `json:"task,omitempty"`
	Heartbeat json.RawMessage `json:"heartbeat,omitempty"`
	Resume    *resume         `json:"resume,omitempty"`
	Failure   *failure        `json:"failure,omitempty"`
	// End is that all went well, and Cancelled that the program has left the watch.
	End       *struct{} `json:"end,omitempty"`
	Cancelled *struct{} `json:"cancelled,omitempty"`
}

// resume is an interruption that the client goes on after by itself.
type resume struct {
	Cause        *failure `json:"cause"`
	AfterSeconds *float64 `json:"afterSeconds"`
}

// failure is a call's error as the client shows it.
type failure struct {
	// Code is gRPC's, like NOT_FOUND.
	Code string `json:"code"`
	// Reason is as it came, and empty if kootask did not make the error. Known is the name of the client's own value for it,
	// and empty if the client has none.
	Reason string `json:"reason"`
	Known  string `json:"known"`

	Message string `json:"message"`
	// RetryAfterSeconds is null without RetryInfo.
	RetryAfterSeconds *float64          `json:"retryAfterSeconds"`
	RequestID         string            `json:"requestId"`
	Metadata          map[string]string `json:"metadata"`
	Violations        []violation       `json:"violations"`
	LocalizedMessage  string            `json:"localizedMessage"`
}

type violation struct {
	Field       string `json:"field"`
	Reason      string `json:"reason"`
	Description string `json:"description"`
}

// kind is the key of a line.
func (l line) kind() string {
	switch {
	case l.Task != nil:
		return "task"
	case l.Heartbeat != nil:
		return "heartbeat"
	case l.Resume != nil:
		return "resume"
	case l.Failure != nil:
		return "failure"
	case l.End != nil:
		return "end"
	case l.Cancelled != nil:
		return "cancelled"
	default:
		return ""
	}
}

// last reports whether no line comes after it.
func (l line) last() bool { return l.Failure != nil || l.End != nil || l.Cancelled != nil }
