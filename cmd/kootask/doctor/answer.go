package doctor

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/upstream"
)

// Verdict says whether KooDrive answers as the dialect in force says.
type Verdict string

// Verdicts.
const (
	Same     Verdict = "same"
	Differs  Verdict = "differs"
	NotAsked Verdict = "not asked"
)

// Answer is a question with what came back. It contains no credential and nothing that describes a task or its people.
type Answer struct {
	Number   int     `json:"number,omitempty"` // Of the request, from 1. 0: it was not asked.
	Name     string  `json:"name"`
	Asked    string  `json:"asked"`
	Expected string  `json:"expected"`
	Verdict  Verdict `json:"verdict"`
	// Why explains a verdict, such as why the question was not asked. May be empty.
	Why string `json:"why,omitempty"`
	// Came is "the task", a public reason, or the cause of a missing answer.
	Came string `json:"came,omitempty"`
	// Status and the following fields are those of the answer. They are empty if none came.
	Status       int    `json:"status,omitempty"`
	Code         string `json:"code,omitempty"`
	Shape        string `json:"shape,omitempty"`
	HTTP         string `json:"http,omitempty"`
	Reused       bool   `json:"connection_reused"`
	Milliseconds int64  `json:"milliseconds"`

	cause, row         string // See question.
	accepted, misdated bool
	refusal            *upstream.StatusError // Nil: it was not refused.
}

// note notes an answer. safe hides what must not be shown.
func (a *Answer) note(e upstream.Exchange, safe func(string) string) {
	a.Status, a.Shape, a.HTTP, a.Reused = e.Status, safe(e.Shape), e.HTTP, e.Reused
	a.Milliseconds, a.misdated = e.Took.Milliseconds(), e.Misdated
}

// judge compares the result of a question with what is expected.
func (a *Answer) judge(q question, err error) {
	var refusal *upstream.StatusError
	var unreadable *upstream.AnswerError
	var unanswered *upstream.TransportError
	switch {
	case err == nil:
		a.Came, a.accepted = theTask, true
	case errors.As(err, &refusal):
		a.Came, a.refusal = ask.Reason(refusal), refusal
	case errors.As(err, &unreadable):
		a.Came = "an invalid answer: " + unreadable.Detail
		if unreadable.Fault != upstream.Malformed {
			a.Came = "an answer that is " + unreadable.Fault.String() + ": " + unreadable.Detail
		}
	case errors.As(err, &unanswered):
		a.Came = "no answer: " + unanswered.Fault.String()
	default:
		a.Came = "no answer"
	}
	anything := q.expects == nil && (a.accepted || a.refusal != nil)
	anyRefusal := slices.Contains(q.expects, aRefusal) && a.refusal != nil
	a.Verdict = Differs
	if anything || anyRefusal || slices.Contains(q.expects, a.Came) {
		a.Verdict = Same
	}
}

// expectation returns what a question expects, for people.
func (q question) expectation() string {
	if q.expects == nil {
		return "any answer, since kootask does not depend on it"
	}
	return strings.Join(q.expects, " or ")
}

// number returns the number of an answer's question, as text.
func (a *Answer) number() string { return strconv.Itoa(a.Number) }

// refused reports whether KooDrive refused what was asked, rather than failed or limited the rate.
func (a *Answer) refused() bool {
	return a.refusal != nil && a.refusal.Status < http.StatusInternalServerError && a.Came != rateLimited
}

// result returns what came back, for people.
func (a *Answer) result() string {
	switch {
	case a.refusal == nil:
		return a.Came
	case a.Code == "":
		return fmt.Sprintf("%d without a code", a.Status)
	}
	return fmt.Sprintf("%d with code %s", a.Status, a.Code)
}

// details returns what is known about an exchange, for people.
func (a *Answer) details() string {
	if a.HTTP == "" {
		return a.Came
	}
	connection := "new connection"
	if a.Reused {
		connection = "reused connection"
	}
	came := a.Came
	if a.refusal != nil {
		came += ", " + a.result()
	} else {
		came += ", " + strconv.Itoa(a.Status)
	}
	return fmt.Sprintf("%s, %d ms, %s, %s", came, a.Milliseconds, connection, a.HTTP)
}
