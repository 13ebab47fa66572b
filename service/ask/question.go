package ask

import (
	"errors"
	"fmt"
	"sync"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/quota"
	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// Question identifies a task and the caller that asks for it. It is validated. It is safe for concurrent use, and must not be
// copied.
type Question struct {
	upstream.Query
	address  string
	language string
	trace    upstream.TraceID

	hash sync.Once
	peer upstream.Key // The key of address, once hash is done. Most questions do not need it.
}

// Subject returns how the quota counts the question.
func (q *Question) Subject() quota.Subject {
	return quota.Subject{Key: q.Key(), Caller: q.Caller(), Peer: q.address}
}

// Question returns the question of a caller. It fails with a [*reason.Error] if taskID cannot be a task's id, or if the
// caller's credential cannot be sent to KooDrive.
func (a *Asker) Question(who *caller.Caller, taskID string) (*Question, error) {
	credential, credentialErr := a.credential(who)
	query, err := a.upstream.Query(credential, taskID)
	if err != nil || credentialErr != nil {
		return nil, invalid(err, credentialErr)
	}
	return &Question{Query: query, address: who.Peer, language: who.Language, trace: who.Trace}, nil
}

// Questions returns the questions of a caller about several tasks, which share their memory. It fails like Question, and like
// [CheckTaskIDs].
func (a *Asker) Questions(who *caller.Caller, taskIDs []string) ([]Question, error) {
	distinct, err := CheckTaskIDs(taskIDs)
	if err != nil {
		return nil, err
	}
	credential, err := a.credential(who)
	if err != nil {
		return nil, invalid(nil, err)
	}
	questions := make([]Question, len(distinct))
	for i, id := range distinct {
		q := &questions[i]
		q.address, q.language, q.trace = who.Peer, who.Language, who.Trace
		if q.Query, err = a.upstream.Query(credential, id); err != nil {
			return nil, invalid(err, nil)
		}
	}
	return questions, nil
}

// credential returns the credential for KooDrive: the app's, or else the caller's own.
func (a *Asker) credential(who *caller.Caller) (upstream.Credential, error) {
	if a.app != nil {
		return a.app.As(who.UserID)
	}
	return upstream.Forward(who.Authorization(), who.UserID, who.Date)
}

// The request fields with the id of a task, and with those of several tasks.
const (
	FieldTaskID  = "task_id"
	fieldTaskIDs = "task_ids"
)

// MaxTaskIDs is the largest number of ids in a request. With 100 ids of 64 characters, a URL still fits the 8 KiB that
// proxies accept by default.
const MaxTaskIDs = 100

// CheckTaskID fails with a [*reason.Error] if id cannot be the id of a KooDrive task: see [upstream.CheckTaskID].
func CheckTaskID(id string) error {
	if err := upstream.CheckTaskID(id); err != nil {
		return invalid(err, nil)
	}
	return nil
}

// CheckTaskIDs returns the distinct ids, in their order. It fails with a [*reason.Error] unless there are 1 to
// [MaxTaskIDs], counting repeated ones, and each can be the id of a KooDrive task.
func CheckTaskIDs(ids []string) (distinct []string, err error) {
	switch {
	case len(ids) == 0:
		return nil, reason.Invalid(reason.TaskIDInvalid, fieldTaskIDs, reason.Missing, "Name 1 to 100 tasks.")
	case len(ids) > MaxTaskIDs:
		return nil, reason.Invalid(reason.TaskIDInvalid, fieldTaskIDs, reason.OutOfRange, "Name at most 100 tasks.")
	}
	failure := &reason.Error{Outcome: reason.TaskIDInvalid}
	seen := make(map[string]bool, len(ids))
	for i, id := range ids {
		var bad *upstream.TaskIDError
		if errors.As(upstream.CheckTaskID(id), &bad) {
			failure.Violations = append(failure.Violations, violation(bad, fmt.Sprintf("%s[%d]", fieldTaskIDs, i)))
		}
		if !seen[id] {
			seen[id] = true
			distinct = append(distinct, id)
		}
	}
	if failure.Violations != nil {
		return nil, failure
	}
	return distinct, nil
}

// invalid returns the error of a question: that of the task id, or else of the credential. credentialErr may be nil.
func invalid(err, credentialErr error) error {
	var badID *upstream.TaskIDError
	switch {
	case errors.As(err, &badID):
		return &reason.Error{Outcome: reason.TaskIDInvalid, Violations: []reason.Violation{violation(badID, FieldTaskID)}}
	case credentialErr != nil:
		return invalidCredential(credentialErr)
	default:
		return invalidCredential(err)
	}
}

// violation returns what is wrong with the task id in a field.
func violation(bad *upstream.TaskIDError, field string) reason.Violation {
	why, description := reason.Malformed, "Must be 1 to 64 characters of A-Z, a-z, 0-9, _ and -."
	switch bad.Problem {
	case upstream.TaskIDMissing:
		why = reason.Missing
	case upstream.TaskIDTooLong:
		why = reason.TooLong
	case upstream.TaskIDReserved:
		why, description = reason.Reserved, "This is the name of another KooDrive route."
	case upstream.TaskIDMalformed:
	}
	return reason.Violation{Field: field, Reason: why, Description: description}
}

func invalidCredential(err error) error {
	var bad *upstream.CredentialError
	if !errors.As(err, &bad) {
		return err
	}
	if bad.Covers != "" {
		return reason.Invalid(reason.CredentialMalformed, bad.Header, reason.Unsupported,
			"The signature must cover no other headers than host, x-date and x-user-id, but covers "+bad.Covers+".")
	}
	if bad.Missing {
		return reason.Invalid(reason.CredentialMalformed, bad.Header, reason.Missing,
			"KooDrive requires this header with the credential. Send it.")
	}
	return reason.Invalid(reason.CredentialMalformed, bad.Header, reason.Malformed,
		"Not a credential format that KooDrive accepts.")
}
