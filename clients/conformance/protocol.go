package main

import "encoding/json"

// command is the line that a client's program reads from its standard input. All keys but the first three are optional; the
// client's defaults apply to absent keys. The program refuses unknown keys with exit code 2. Times are in seconds.
type command struct {
	// Call is get or watch: a task once, or all events of a watch.
	Call string `json:"call"`
	// Addr is the address of a plaintext server.
	Addr   string `json:"addr"`
	TaskID string `json:"taskId"`

	Token    string `json:"token,omitempty"`
	UserID   string `json:"userId,omitempty"`
	Language string `json:"language,omitempty"`
	// CallerTokens are the results of the client's provider of such tokens, one for each call of the provider. The last one is
	// repeated.
	CallerTokens      []string `json:"callerTokens,omitempty"`
	MaxAge            *float64 `json:"maxAge,omitempty"`
	FailedTaskAsError bool     `json:"failedTaskAsError,omitempty"`
	// Deadline is the time limit of the whole call, with all its waits.
	Deadline *float64 `json:"deadline,omitempty"`
	// CancelAfterTasks is the number of tasks after which the program leaves the watch, in the usual way of its language.
	CancelAfterTasks int `json:"cancelAfterTasks,omitempty"`
}

// line is a line that the program prints at once: an object with one of these keys. Failure, end and cancelled are the last
// line; after it the program waits until its standard input ends, and exits with 0. All other output goes to its standard
// error.
type line struct {
	// Task and Heartbeat are the contract's, in proto3's JSON.
	Task      json.RawMessage `json:"task,omitempty"`
	Heartbeat json.RawMessage `json:"heartbeat,omitempty"`
	Resume    *resume         `json:"resume,omitempty"`
	Failure   *failure        `json:"failure,omitempty"`
	// End is the end without an error, and Cancelled the end after the program has left the watch.
	End       *struct{} `json:"end,omitempty"`
	Cancelled *struct{} `json:"cancelled,omitempty"`
}

// resume is an interruption after which the client resumes by itself.
type resume struct {
	Cause        *failure `json:"cause"`
	AfterSeconds *float64 `json:"afterSeconds"`
}

// failure is a call's error, from the client.
type failure struct {
	// Code is gRPC's, like NOT_FOUND.
	Code string `json:"code"`
	// Reason is the reason's name, empty if the error is not from kootask. Known is the name of the client's own value for the
	// reason, empty if the client does not know it.
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
