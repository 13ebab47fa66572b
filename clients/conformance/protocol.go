package main

import "encoding/json"

// command is the line that a client's program reads from its standard input. All keys but the first three are optional:
// for absent keys, the client's defaults apply. The program refuses unknown keys with exit code 2. Times are in
// seconds.
type command struct {
	// Call is get, to fetch a task once; watch or watchAll, to print all events of a watch of one task or of several; or
	// wait, to print the task once it is finished.
	Call string `json:"call"`
	// Addr is the address of the server.
	Addr string `json:"addr"`
	// TaskID is the id of the task; empty for watchAll.
	TaskID string `json:"taskId"`
	// TaskIDs are the ids of watchAll, which may be empty. Absent for the other calls.
	TaskIDs taskIDs `json:"taskIds,omitzero"`

	// CAFile is the path of a PEM file. With it, the client uses TLS and trusts these authorities. Absent: plaintext.
	CAFile string `json:"caFile,omitempty"`

	Token    string `json:"token,omitempty"`
	UserID   string `json:"userId,omitempty"`
	Language string `json:"language,omitempty"`
	// CallerTokens are the results of the client's provider of caller tokens, one per call. The last one is repeated.
	CallerTokens      []string `json:"callerTokens,omitempty"`
	MaxAge            *float64 `json:"maxAge,omitempty"`
	FailedTaskAsError bool     `json:"failedTaskAsError,omitempty"`
	// Deadline is the time limit of the whole call, including its waits.
	Deadline *float64 `json:"deadline,omitempty"`
	// CancelAfterTasks is the number of task lines after which the program leaves the watch, in its language's usual way.
	CancelAfterTasks int `json:"cancelAfterTasks,omitempty"`
}

// line is a line that the program prints at once: an object with one of these keys. Failure, End or Cancelled is the
// last line. After it, the program waits until its standard input ends, with its client open, and exits with 0. All other
// output goes to standard error. A get and a wait print a task and an end, or a failure.
type line struct {
	// Task and Heartbeat are the contract's messages, in proto3 JSON.
	Task      json.RawMessage `json:"task,omitempty"`
	Heartbeat json.RawMessage `json:"heartbeat,omitempty"`
	Resume    *resume         `json:"resume,omitempty"`
	// Dropped is a task of watchAll whose watch ended before the task was finished.
	Dropped *dropped `json:"dropped,omitempty"`
	Failure *failure `json:"failure,omitempty"`
	// End is an end without an error. Cancelled is the end after the program has left the watch.
	End       *struct{} `json:"end,omitempty"`
	Cancelled *struct{} `json:"cancelled,omitempty"`
}

// resume is an interruption after which the client resumes by itself.
type resume struct {
	Cause        *failure `json:"cause"`
	AfterSeconds *float64 `json:"afterSeconds"`
	// TaskIDs are the ids of the tasks that the client resumes to watch. Only watchAll has this key.
	TaskIDs []string `json:"taskIds,omitzero"`
}

// dropped is the error of a task that was dropped.
type dropped struct {
	TaskID string `json:"taskId"`
	failure
}

// failure is an error of a call, as the client reports it.
type failure struct {
	// Code is gRPC's, like NOT_FOUND.
	Code string `json:"code"`
	// Reason is the reason's name; empty if the error is not from kootask. Known is the name of the client's own
	// constant for the reason; empty if the client does not have one.
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

// kind returns the key of a line; empty without one.
func (l line) kind() string {
	switch {
	case l.Task != nil:
		return "task"
	case l.Heartbeat != nil:
		return "heartbeat"
	case l.Resume != nil:
		return "resume"
	case l.Dropped != nil:
		return "dropped"
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

// taskID returns the id of the task that the line is about; empty for lines about several tasks or about the call.
func (l line) taskID() string {
	switch {
	case l.Dropped != nil:
		return l.Dropped.TaskID
	case l.Task != nil:
		return idOf(l.Task)
	default:
		return ""
	}
}

// last reports whether the line is the last one.
func (l line) last() bool { return l.Failure != nil || l.End != nil || l.Cancelled != nil }
