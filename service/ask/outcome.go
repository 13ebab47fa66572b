package ask

import (
	"errors"
	"net/http"

	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// byMeaning maps the meanings of refusals. Which refusals have one is said by the dialect.
var byMeaning = map[upstream.Meaning]reason.Outcome{
	upstream.MeansRequestInvalid:     reason.UpstreamRejectedParameter,
	upstream.MeansCredentialRejected: reason.UpstreamTokenRejected,
	upstream.MeansTaskNotFound:       reason.TaskNotFound,
	upstream.MeansPermissionDenied:   reason.UpstreamPermissionDenied,
	upstream.MeansRateLimited:        reason.UpstreamRateLimited,
	upstream.MeansTimeout:            reason.UpstreamTimeout,
	upstream.MeansUnavailable:        reason.UpstreamInternalFailure,
	upstream.MeansBusinessError:      reason.UpstreamBusinessError,
	upstream.MeansMisconfigured:      reason.UpstreamRouteNotFound,
}

// noPermission is KooDrive's code for another user's task.
const noPermission = "13000410"

// Meanings returns the meanings that a dialect can give to refusals, by the name of their public reason.
func Meanings() map[string]upstream.Meaning {
	all := make(map[string]upstream.Meaning, len(byMeaning))
	for meaning, outcome := range byMeaning {
		all[outcome.Reason.String()] = meaning
	}
	return all
}

// Reason returns the name of the public reason of a refusal, as callers with credentials of their own get it.
func Reason(e *upstream.StatusError) string { return refusal(e).Reason.String() }

// refusal returns the outcome of a refusal: that of its meaning, or else of the HTTP status.
func refusal(e *upstream.StatusError) reason.Outcome {
	if outcome, ok := byMeaning[e.Meaning]; ok {
		return outcome
	}
	switch {
	case e.Status == http.StatusUnauthorized:
		return reason.UpstreamTokenRejected
	case e.Status == http.StatusForbidden:
		return reason.UpstreamPermissionDenied
	case e.Status == http.StatusOK:
		return reason.UpstreamBusinessError
	case e.Status < 300:
		return reason.UpstreamContractViolation
	case e.Status < 400:
		return reason.UpstreamRedirect
	case e.Status == http.StatusBadRequest && e.Code == "": // KooDrive documents it as "authentication not passed".
		return reason.UpstreamCredentialRejected
	case e.Status == http.StatusNotFound && e.Code == "": // KooDrive reports a missing task with 400, so this is another server.
		return reason.UpstreamRouteNotFound
	case e.Status == http.StatusBadRequest, e.Status == http.StatusNotFound:
		return reason.UpstreamBusinessError
	case e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooEarly:
		return reason.UpstreamTimeout
	case e.Status == http.StatusTooManyRequests:
		return reason.UpstreamRateLimited
	case e.Status == http.StatusInternalServerError:
		return reason.UpstreamError
	case e.Status == http.StatusNotImplemented, e.Status < 500:
		return reason.UpstreamRequestRejected
	default:
		return reason.UpstreamUnavailable
	}
}

var byAnswerFault = map[upstream.AnswerFault]reason.Outcome{
	upstream.Malformed:     reason.UpstreamMalformedBody,
	upstream.TooLarge:      reason.UpstreamBodyTooLarge,
	upstream.Contradictory: reason.UpstreamContractViolation,
	upstream.WrongTask:     reason.UpstreamResponseMismatch,
}

var byTransportFault = map[upstream.TransportFault]reason.Outcome{
	upstream.TimedOut:     reason.UpstreamTimeout,
	upstream.Unreachable:  reason.UpstreamUnreachable,
	upstream.Untrusted:    reason.UpstreamTLSUntrusted,
	upstream.ProxyRefused: reason.UpstreamProxyRefused,
}

// outcome translates an error of upstream; nil stands for an answer. Other errors are left to [reason.Of].
func (a *Asker) outcome(err error) *reason.Error {
	if err == nil {
		return nil
	}
	var decided *reason.Error
	var refused *upstream.StatusError
	var unbelieved *upstream.AnswerError
	var unanswered *upstream.TransportError
	var open *upstream.CircuitOpenError
	switch {
	case errors.As(err, &decided):
		return decided
	case errors.As(err, &refused):
		e := &reason.Error{
			Outcome: refusal(refused), UpstreamStatus: refused.Status, UpstreamCode: refused.Code,
			RetryAfter: refused.RetryAfter, Cause: err,
		}
		if e.Outcome == reason.UpstreamRejectedParameter {
			e.Violations = []reason.Violation{{
				Field: FieldTaskID, Reason: reason.RejectedByKooDrive, Description: "KooDrive does not accept this task id.",
			}}
		}
		if a.app != nil {
			asApp(e, refused.Mapped)
		}
		return e
	case errors.As(err, &unbelieved):
		return &reason.Error{Outcome: byAnswerFault[unbelieved.Fault], UpstreamStatus: unbelieved.Status, Cause: err}
	case errors.As(err, &open):
		return &reason.Error{Outcome: reason.UpstreamCircuitOpen, RetryAfter: open.RetryAfter, Cause: err}
	case errors.As(err, &unanswered):
		return &reason.Error{Outcome: byTransportFault[unanswered.Fault], Cause: err}
	}
	return reason.Of(err)
}

// asApp corrects an outcome for app mode, where the credential is kootask's: its rejection is not the caller's fault
// and must not make the caller discard a valid credential. A missing task and another user's task look the same.
func asApp(e *reason.Error, mapped bool) {
	switch {
	case e.UpstreamCode == noPermission, mapped && e.Outcome == reason.UpstreamPermissionDenied:
		e.Outcome = reason.TaskNotFound
	case e.Outcome == reason.UpstreamTokenRejected, e.Outcome == reason.UpstreamCredentialRejected:
		e.Outcome = reason.FacadeCredentialRejected
	}
	if e.Outcome == reason.TaskNotFound {
		e.UpstreamStatus, e.UpstreamCode = 0, ""
	}
}
