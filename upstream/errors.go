package upstream

import (
	"errors"
	"fmt"
	"time"
)

// StatusError is a refusal by KooDrive or the API gateway in front of it.
type StatusError struct {
	// Status is the HTTP status. It may be 200: KooDrive also refuses in the body alone.
	Status int
	// Code is the error code in the body: KooDrive's, like 13000309, or its API gateway's, like APIGW.0308. It is empty
	// if it is missing or invalid. It has at most 32 characters of A-Z, 0-9 and ".", or is a negative number.
	Code string
	// RetryAfter is the wait that KooDrive requests, at most MaxRetryAfter; 0 if it requests none.
	RetryAfter time.Duration
	// Meaning is what the dialect says of the refusal; Unmapped without a rule. Mapped is set if [Dialect.Meanings] says it.
	Meaning Meaning
	Mapped  bool
	// Shape is the shape of the body: see [AnswerError]. Empty if there is a code.
	Shape string
}

func (e *StatusError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("KooDrive answered %d without a code%s", e.Status, andShape(e.Shape))
	}
	return fmt.Sprintf("KooDrive answered %d with code %s", e.Status, e.Code)
}

// AnswerFault says why an answer is invalid.
type AnswerFault int

const (
	// Malformed means that the answer is not JSON, or is cut off.
	Malformed AnswerFault = iota + 1
	// TooLarge means that the body is above MaxBody or the header above MaxHeader.
	TooLarge
	// Contradictory means that the JSON cannot be KooDrive's description of a task: a field is missing, repeated or of
	// the wrong type, or the HTTP status is 2xx but not 200.
	Contradictory
	// WrongTask means that the answer describes another task.
	WrongTask
)

func (f AnswerFault) String() string {
	switch f {
	case Malformed:
		return "malformed"
	case TooLarge:
		return "too large"
	case Contradictory:
		return "contradictory"
	case WrongTask:
		return "about another task"
	}
	return "unknown"
}

// AnswerError reports an invalid answer.
type AnswerError struct {
	Fault AnswerFault
	// Status is the HTTP status; 0 if the header was too large.
	Status int
	// Detail is a fixed explanation. It quotes nothing of the answer.
	Detail string
	// Shape is the structure of a JSON body, for the log: "fields: code:number taskId:string" for an object, or its
	// type, as in "type: array". It has at most MaxFields names of at most 32 letters, digits, "_", "." and "-", and
	// "…" for any other. It contains no values.
	Shape string
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("KooDrive's answer (%d) is %s: %s%s", e.Status, e.Fault, e.Detail, andShape(e.Shape))
}

// andShape returns the end of an error text.
func andShape(shape string) string {
	if shape == "" {
		return ""
	}
	return "; " + shape
}

// TransportFault says why no answer came.
type TransportFault int

const (
	// TimedOut means that connecting, the header or the body took longer than [Config.Timeout].
	TimedOut TransportFault = iota + 1
	// Unreachable means that the name is unknown, or the connection was refused or broke.
	Unreachable
	// Untrusted means that KooDrive's certificate is not trusted.
	Untrusted
	// ProxyRefused means that the proxy refused to forward the request, so KooDrive did not get it.
	ProxyRefused
)

func (f TransportFault) String() string {
	switch f {
	case TimedOut:
		return "timed out"
	case Unreachable:
		return "unreachable"
	case Untrusted:
		return "not trusted"
	case ProxyRefused:
		return "not reached"
	}
	return "unknown"
}

// TransportError reports that KooDrive did not answer.
type TransportError struct {
	Fault TransportFault
	// Err is the transport's error, for the log. It may name hosts and addresses.
	Err error
}

func (e *TransportError) Error() string { return fmt.Sprintf("KooDrive %s: %v", e.Fault, e.Err) }

func (e *TransportError) Unwrap() error { return e.Err }

// TaskIDProblem says why a task id is invalid.
type TaskIDProblem int

const (
	// TaskIDMissing means that the id is empty.
	TaskIDMissing TaskIDProblem = iota + 1
	// TaskIDTooLong means that the id has more than taskid.MaxLength characters.
	TaskIDTooLong
	// TaskIDMalformed means that the id has a character other than A-Z, a-z, 0-9, _ and -.
	TaskIDMalformed
	// TaskIDReserved means that the id is the name of another KooDrive route.
	TaskIDReserved
)

// TaskIDError reports that an id cannot be a KooDrive task's. It does not repeat the id.
type TaskIDError struct{ Problem TaskIDProblem }

func (e *TaskIDError) Error() string {
	switch e.Problem {
	case TaskIDMissing:
		return "the task id is missing"
	case TaskIDTooLong:
		return "the task id is longer than 64 characters"
	case TaskIDReserved:
		return "the task id is reserved by KooDrive"
	default:
		return "the task id is malformed"
	}
}

var (
	errNoCredential = errors.New("the query has no credential")
	errPanicked     = errors.New("the request to KooDrive panicked")
)
