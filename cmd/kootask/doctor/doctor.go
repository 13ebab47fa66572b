// Package doctor asks a KooDrive how it speaks, and compares the answers with a dialect:
//
//	report, err := doctor.Run(ctx, doctor.Config{…})
//	…
//	report.Print(os.Stdout)
//
// It asks at most MaxQuestions questions, at most one in each Interval, and only reads. questions.go has the questions: to ask
// another one, add a row there. The package knows nothing of flags, files and exit codes.
package doctor

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kootask/kootask/cmd/kootask/dialects"
	"github.com/kootask/kootask/dialect"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/service/ask"
	"github.com/kootask/kootask/upstream"
)

const (
	// MaxQuestions is the number of requests that KooDrive gets at most.
	MaxQuestions = 12
	// Interval is the minimum time from an answer to the next question.
	Interval = time.Second
	// maxInRow is the number of consecutive refusals after which doctor stops.
	maxInRow = 3
)

// Config says which KooDrive is asked, about which task and with which credential.
type Config struct {
	// Upstream is the connection to KooDrive. Its Dialect is ignored.
	Upstream upstream.Config
	// Dialect is the dialect in force.
	Dialect dialect.Dialect
	// TaskID is the id of a task that the credential may see.
	TaskID string
	// App signs the questions, with its first secret, for UserID. Nil: they have Token.
	App   *upstream.App
	Token secret.Value
	// UserID is sent as X-User-Id. It may be empty for a token.
	UserID string
	// AskRefusals adds a question with a fixed fake token, which KooDrive must refuse.
	AskRefusals bool
}

// session is one examination. It is used by one goroutine.
type session struct {
	Config
	client *upstream.Client
	report *Report
	form   form // The form of the questions: the dialect's, or the one that KooDrive was found to accept.
	found  bool // A question was accepted in that form.
	// signedIn is the first question that KooDrive refused for another reason than the credential. Nil: none yet.
	signedIn *Answer
	asked    int
	inRow    int      // Consecutive refusals.
	private  []string // Texts that are not shown.
}

// Run examines KooDrive. It takes up to MaxQuestions times Interval and the timeout of the connection. It fails if the config is
// invalid, and with ctx's error if ctx ends. Whatever KooDrive does is in the report.
func Run(ctx context.Context, config Config) (*Report, error) {
	if config.Dialect.Token.UserIDRequired && config.App == nil && config.UserID == "" {
		return nil, &upstream.CredentialError{Header: "x-user-id", Missing: true}
	}
	config.Upstream.Dialect = upstream.Documented() // Questions bring their own.
	client, err := upstream.NewClient(config.Upstream)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	s := &session{
		Config: config, client: client,
		report: &Report{KooDrive: config.Upstream.BaseURL, dialect: config.Dialect, notes: map[string]string{}},
		form:   form{dialect: config.Dialect, task: config.TaskID, user: config.UserID != ""},
	}
	s.private = append(s.private, config.UserID)
	if config.App != nil {
		s.private = append(s.private, config.App.ID)
	}
	if _, err := s.query(s.form); err != nil {
		return nil, err
	}
	reach := client.Reach(ctx)
	s.report.Steps = Steps(reach, config.Upstream)
	if reach.Failed != "" {
		s.report.Stopped, s.report.Result = "KooDrive cannot be reached: the step "+reach.Failed+" failed.", Unreachable
	}
	s.examine(ctx)
	s.report.conclude()
	return s.report, ctx.Err()
}

// examine asks the questions:
//  1. In the form of the dialect in force.
//  2. If that is refused, in other forms until one is accepted. Once a refusal has another reason than the credential, no other
//     credential is sent.
//  3. In the accepted form, everything else.
//
// Once the examination has stopped, the questions that are left are reported as not asked.
func (s *session) examine(ctx context.Context) {
	first := s.ask(ctx, firstQuestion)
	for _, other := range s.others(first) {
		s.ask(ctx, other.question())
		if last := s.report.last(); !first.accepted && last.accepted && !s.found {
			s.adopt(other, first, last)
		}
	}
	if s.report.Stopped == "" && !s.found {
		s.giveUp("KooDrive refuses the credential in every form that was asked.")
	}
	answers := make([]*Answer, len(questions))
	for i, q := range questions {
		answers[i] = s.ask(ctx, q)
	}
	for i, q := range questions { // Later answers have to confirm a finding.
		if a := answers[i]; q.learn != nil && a.Verdict == Differs && a.refused() && s.report.confirmed(a.Number, a.Number) {
			q.learn(s.report, a)
		}
	}
}

// stop ends the examination. The first reason counts.
func (s *session) stop(why string) {
	if s.report.Stopped == "" {
		s.report.Stopped = why
	}
}

// withholds returns why a question is not asked; empty if it is.
func (s *session) withholds(q question) string {
	if why := q.unless(s); why != "" {
		return why
	}
	switch {
	case s.report.Stopped != "":
		return "The examination had stopped."
	case s.asked == MaxQuestions:
		return "The maximum number of questions was reached."
	}
	return ""
}

// ask asks a question, unless something withholds it, and adds the result to the report.
func (s *session) ask(ctx context.Context, q question) *Answer {
	a := &Answer{Name: q.name, Asked: q.asks, Expected: q.expectation(), Verdict: NotAsked, cause: q.cause, row: q.row}
	s.report.Questions = append(s.report.Questions, a)
	a.Why = s.withholds(q)
	if a.Why == "" && s.asked > 0 && !rest(ctx) {
		s.stop("It was interrupted.")
		a.Why = "The examination had stopped."
	}
	if a.Why != "" {
		return a
	}
	s.asked++
	a.Number = s.asked
	f := s.form
	q.change(&f)
	if f.fake && s.App != nil { // The accepted form has X-Date.
		f.dialect.Token.Date = true
	}
	err := s.send(ctx, f, a)
	a.judge(q, err)
	s.follow(q, a, err)
	return a
}

// rest waits for Interval, and reports whether ctx has not ended by then.
func rest(ctx context.Context) bool {
	timer := time.NewTimer(Interval)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// query returns the query of a form.
func (s *session) query(f form) (upstream.Query, error) {
	var credential upstream.Credential
	var err error
	user := ""
	if f.user {
		user = s.UserID
	}
	switch {
	case f.fake:
		credential, err = upstream.Forward(secret.New(fakeToken), user, "")
	case s.App != nil:
		credential, err = s.App.As(s.UserID)
	default:
		credential, err = upstream.Forward(s.Token, user, "")
	}
	if err != nil {
		return upstream.Query{}, err
	}
	return s.client.Query(credential, f.task)
}

// send sends a request, and notes what came back.
func (s *session) send(ctx context.Context, f form, a *Answer) error {
	q, err := s.query(f)
	if err != nil {
		return err
	}
	var seen *upstream.Exchange
	task, err := s.client.Task(ctx, q, upstream.Call{Queue: q.Caller(), Language: f.language, Inspect: &upstream.Inspection{
		Dialect: dialects.Upstream(f.dialect), Untraced: f.untraced, Seen: func(e upstream.Exchange) { seen = &e },
	}})
	s.private = append(s.private, task.Name, task.TenantID, task.UserID)
	safe := func(text string) string { return s.safe(q, text) }
	if seen != nil {
		a.note(*seen, safe)
		s.report.observe(*seen, safe)
	}
	if err == nil {
		s.report.task = &sighting{task.SentStatus, task.SentType, safe(digits(task.ResultCode))}
	}
	var refusal *upstream.StatusError
	if errors.As(err, &refusal) {
		a.Status, a.Code = refusal.Status, safe(refusal.Code)
	}
	return err
}

// distinct is the length from which a text does not occur in another one by chance.
const distinct = 8

// safe returns a text that KooDrive chose, unless it repeats what must not be shown. Of short texts, only whole words count: a
// user's id may be a single digit.
func (s *session) safe(q upstream.Query, text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" :._-", r) })
	repeats := func(private string) bool {
		return len(private) >= distinct && strings.Contains(text, private) || slices.Contains(words, private)
	}
	if q.Echoes(text) || slices.ContainsFunc(s.private, repeats) {
		return "…"
	}
	return text
}

// follow draws the consequences of an answer for the questions after it.
func (s *session) follow(q question, a *Answer, err error) {
	if a.accepted {
		s.inRow = 0
		s.found = s.found || q.name == firstQuestion.name
		return
	}
	s.inRow++
	if s.signedIn == nil && a.refused() && a.Came != credentialRejected {
		s.signedIn = a
	}
	var unanswered *upstream.TransportError
	var unreadable *upstream.AnswerError
	refusal := a.refusal
	switch {
	case errors.As(err, &unanswered):
		s.stop("KooDrive did not answer question " + a.number() + ": " + unanswered.Fault.String() + ".")
		s.report.Result = Unreachable
	case refusal == nil && !errors.As(err, &unreadable):
		s.stop("The examination ended with question " + a.number() + ".")
		s.report.Result = Unreachable
	case !s.found && foreign(a, unreadable):
		s.stop("The server answers, but not as KooDrive: the step answer failed.")
		s.report.Result = Unreachable
	case refusal == nil && !s.found:
		s.stop("KooDrive's answer is not the description of a task.")
	case refusal == nil:
	case refusal.Status == http.StatusTooManyRequests, ask.Reason(refusal) == rateLimited, refusal.RetryAfter > 0:
		s.stop("KooDrive limits the rate of requests. Try again later.")
	case refusal.Status == http.StatusForbidden && s.found:
		s.stop("KooDrive forbade question " + a.number() + " after it had accepted others.")
	case !s.found && refusal.Status >= http.StatusInternalServerError:
		s.stop("KooDrive fails. Try again later.")
		s.report.Result = Unreachable
	case !s.found && a.Came == taskNotFound:
		s.stop("KooDrive has no such task: --task-id must be one that the credential may see.")
	}
	if s.inRow == maxInRow && s.report.Stopped == "" && (s.found || s.App == nil) {
		const why = "KooDrive refused 3 questions in a row."
		if !s.found {
			s.giveUp(why)
		}
		s.stop(why)
	}
}

// foreign reports whether an answer is from another server than KooDrive: it is not JSON, and does not refuse a credential.
func foreign(a *Answer, unreadable *upstream.AnswerError) bool {
	if unreadable != nil {
		return unreadable.Shape == ""
	}
	if a.refusal == nil || a.refusal.Code != "" || a.refusal.Shape != "" {
		return false
	}
	switch a.refusal.Status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return false
	}
	return a.refusal.Status < http.StatusInternalServerError
}
