package upstream

import (
	"errors"
	"fmt"
	"time"
)

// StatusError is an answer in which KooDrive, or the gateway before it, refuses.
type StatusError struct {
	// Status is the HTTP status, 200 included: KooDrive also refuses in the body alone.
	Status int
	// Code is the error code of the body: KooDrive's, like 13000309, or its API gateway's, like APIGW.0308. Empty if
	// there was none that could be read. At most 32 characters of A-Z, 0-9 and ".", or a negative number.
	Code string
	// RetryAfter is how long KooDrive asks to wait: 0 if it does not say, never more than 10 minutes.
	RetryAfter time.Duration
	// Shape is that of the body, as in [AnswerError]. Empty if there is a code.
	Shape string
}

func (e *StatusError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("KooDrive answered %d without a code%s", e.Status, andShape(e.Shape))
	}
	return fmt.Sprintf("KooDrive answered %d with code %s", e.Status, e.Code)
}

// AnswerFault is what is wrong with an answer.
type AnswerFault int

const (
	// Malformed is no JSON, or JSON that was cut off.
	Malformed AnswerFault = iota + 1
	// TooLarge is a body or a header beyond the limit.
	TooLarge
	// Contradictory is JSON that cannot be KooDrive's description of a task: a field is missing, twice there or of the
	// wrong type, or the HTTP status is 2xx but not 200.
	Contradictory
	// WrongTask is the description of a task that was not asked for.
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

// AnswerError is an answer that cannot be believed.
type AnswerError struct {
	Fault AnswerFault
	// Status is the HTTP status; 0 if the headers were already too large.
	Status int
	// Detail says more, in our own words: nothing of the answer is in it.
	Detail string
	// Shape is what the body has where it is JSON: "fields: code:number taskId:string", or its type if it is not an object, as
	// in "type: array". It has at most 20 names of at most 32 letters, digits, "_", "." and "-"; any other is "…". No value is
	// in it. It is for the log.
	Shape string
}

func (e *AnswerError) Error() string {
	return fmt.Sprintf("KooDrive's answer (%d) is %s: %s%s", e.Status, e.Fault, e.Detail, andShape(e.Shape))
}

// andShape continues the text of an error.
func andShape(shape string) string {
	if shape == "" {
		return ""
	}
	return "; " + shape
}

// TransportFault is why no answer came.
type TransportFault int

const (
	// TimedOut means that connecting, the headers or the body took longer than [Config.Timeout].
	TimedOut TransportFault = iota + 1
	// Unreachable means that the name is unknown or the connection was refused or broke.
	Unreachable
	// Untrusted means that KooDrive's certificate is not one that we accept.
	Untrusted
	// ProxyRefused means that the proxy refused to hand the request on: KooDrive did not get it.
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

// TransportError means that KooDrive did not answer.
type TransportError struct {
	Fault TransportFault
	// Err is what the transport said. It may name hosts and addresses: it is for the log.
	Err error
}

func (e *TransportError) Error() string { return fmt.Sprintf("KooDrive %s: %v", e.Fault, e.Err) }

func (e *TransportError) Unwrap() error { return e.Err }

// TaskIDProblem is what is wrong with a task id.
type TaskIDProblem int

const (
	// TaskIDMissing is an empty id.
	TaskIDMissing TaskIDProblem = iota + 1
	// TaskIDTooLong is an id of more than 64 characters.
	TaskIDTooLong
	// TaskIDMalformed is one with another character than A-Z, a-z, 0-9, _ and -.
	TaskIDMalformed
	// TaskIDReserved is one that is the name of another of KooDrive's routes.
	TaskIDReserved
)

// TaskIDError means that an id can be none of a KooDrive task. The id is not repeated.
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
