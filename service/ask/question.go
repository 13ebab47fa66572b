package ask

import (
	"errors"
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
	return &Question{
		Query: query, address: who.Peer, language: who.Language, trace: who.Trace,
	}, nil
}

// credential returns the credential for KooDrive: the app's, or else the caller's own.
func (a *Asker) credential(who *caller.Caller) (upstream.Credential, error) {
	if a.app != nil {
		return a.app.As(who.UserID)
	}
	return upstream.Forward(who.Authorization(), who.UserID, who.Date)
}

// FieldTaskID is the request field with the task's id.
const FieldTaskID = "task_id"

// CheckTaskID fails with a [*reason.Error] if id cannot be the id of a KooDrive task: see [upstream.CheckTaskID].
func CheckTaskID(id string) error {
	if err := upstream.CheckTaskID(id); err != nil {
		return invalid(err, nil)
	}
	return nil
}

// invalid returns the error of a question: that of the task id, or else of the credential. credentialErr may be nil.
func invalid(err, credentialErr error) error {
	var badID *upstream.TaskIDError
	switch {
	case errors.As(err, &badID):
		return invalidTaskID(badID)
	case credentialErr != nil:
		return invalidCredential(credentialErr)
	default:
		return err
	}
}

func invalidTaskID(bad *upstream.TaskIDError) error {
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
	return reason.Invalid(reason.TaskIDInvalid, FieldTaskID, why, description)
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
			"The signature covers this header. Send it.")
	}
	return reason.Invalid(reason.CredentialMalformed, bad.Header, reason.Malformed,
		"Not a credential format that KooDrive accepts.")
}
