package doctor

import (
	"github.com/kootask/kootask/dialect"
)

// form is how a question is asked.
type form struct {
	dialect  dialect.Dialect
	task     string
	language string
	user     bool // X-User-Id is sent. A signature always has it.
	fake     bool // The token is fakeToken, also in place of a signature.
	untraced bool // X-Traceid is not sent.
}

// question is a request to KooDrive and the answer that the dialect in force expects.
type question struct {
	name string // In JSON.
	asks string // For people.
	// change makes the question's form from the accepted one.
	change func(*form)
	// expects are the expected results: theTask, aRefusal or public reasons. Nil: all answers will do, since kootask does not
	// depend on it.
	expects []string
	// unless returns why the question is not asked; empty if it is.
	unless func(*session) string
	// learn notes in the report what a refusal says about the dialect, if the answer differs. May be nil.
	learn func(*Report, *Answer)
	// cause is why KooDrive refuses the question, and row the reason that a row of codes may give to it. Both may be empty.
	cause, row string
}

// Results of questions, besides public reasons.
const (
	theTask  = "the task"
	aRefusal = "a refusal"
)

// Public reasons.
const (
	taskNotFound       = "TASK_NOT_FOUND"
	requestInvalid     = "REQUEST_INVALID"
	credentialRejected = "CREDENTIAL_REJECTED"
	rateLimited        = "UPSTREAM_RATE_LIMITED"
)

const (
	// unknownID has the form of KooDrive's ids, but no task has it.
	unknownID = "0000000000000000000"
	// oddID does not have that form.
	oddID = "kootask-doctor"
	// fakeToken resembles no token, so that it cannot be taken for a guess.
	fakeToken = "kootask-doctor-fake-token"
)

// firstQuestion is asked before all others.
var firstQuestion = question{
	name: "first", asks: "the task, in the form of the dialect in force",
	change: func(*form) {}, unless: always, expects: []string{theTask},
}

// always asks a question.
func always(*session) string { return "" }

// withApp is why questions about tokens are not asked.
const withApp = "An app signs the questions."

// questions are asked in this order once a form is accepted. At most 2 of them in a row are refused by the KooDrive of the
// documents, because 3 would end the examination.
var questions = []question{
	{
		name: "unknown", asks: "the id " + unknownID + ", which no task has",
		change: func(f *form) { f.task = unknownID }, unless: always, expects: []string{taskNotFound},
		cause: "the id", row: taskNotFound,
	},
	{
		name: "odd", asks: "the id " + oddID + ", which does not have KooDrive's form",
		change: func(f *form) { f.task = oddID }, unless: always, expects: []string{taskNotFound, requestInvalid},
		cause: "the id", row: requestInvalid,
	},
	{name: "again", asks: "the task again", change: func(*form) {}, unless: always, expects: []string{theTask}},
	{
		name: "fake", asks: "the task, with a fixed fake token",
		change: func(f *form) { f.fake = true }, expects: []string{credentialRejected},
		unless: func(s *session) string {
			if !s.AskRefusals {
				return "Failed sign-ins are asked for with --ask-refusals alone."
			}
			return ""
		},
		cause: "the token", row: credentialRejected,
	},
	{
		name: "no user", asks: "the task, without X-User-Id",
		change: func(f *form) { f.user = false }, expects: []string{theTask},
		unless: func(s *session) string {
			switch {
			case s.App != nil:
				return withApp
			case s.UserID == "":
				return "No question has X-User-Id. Set --user-id."
			case s.Dialect.Token.UserIDRequired:
				return "The dialect in force says that KooDrive refuses it."
			}
			return ""
		},
		learn: func(r *Report, a *Answer) {
			r.dialect.Token.UserIDRequired = true
			r.notes["token.user_id"] = "Question " + a.number() + ", without X-User-Id, got " + a.result() + "."
		},
		cause: "the missing X-User-Id",
	},
	{
		name: "date", asks: "the task, with X-Date",
		change: func(f *form) { f.dialect.Token.Date = true },
		unless: func(s *session) string {
			switch {
			case s.App != nil:
				return withApp
			case s.form.dialect.Token.Date:
				return "The accepted form has X-Date."
			}
			return ""
		},
		cause: "X-Date",
	},
	{
		name: "untraced", asks: "the task, without X-Traceid",
		change: func(f *form) { f.untraced = true }, unless: always, cause: "the missing X-Traceid",
	},
	{
		name: "en-US", asks: "the task, with language: en-US",
		change: func(f *form) { f.language = "en-US" }, unless: always, expects: []string{theTask}, cause: "the language",
	},
	{
		name: "zh-CN", asks: "the task, with language: zh-CN",
		change: func(f *form) { f.language = "zh-CN" }, unless: always, expects: []string{theTask}, cause: "the language",
	},
}
