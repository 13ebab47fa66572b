package ask

import (
	"errors"
	"net/http"
	"strings"

	"github.com/kootask/kootask/service/reason"
	"github.com/kootask/kootask/upstream"
)

// Much of this table is an interpretation of KooDrive's documents: they name no code for an unknown task, an expired
// token, a bad signature or too many requests. It is kept as data, to be corrected when KooDrive turns out to behave
// otherwise.

// byCode maps the error codes of KooDrive, and those of Huawei's API gateway without their prefix. The HTTP status does
// not matter: KooDrive sends nearly all of its codes with 400.
var byCode = map[string]reason.Outcome{
	"13000101":   reason.UpstreamRejectedParameter, // Bad Request
	"13000102":   reason.UpstreamRejectedParameter, // Verify parameters failed.
	"13000201":   reason.UpstreamInternalFailure,   // INNER_INVOKE_FAILURE
	"13000309":   reason.TaskNotFound,              // Resource not found.
	noPermission: reason.UpstreamPermissionDenied,  // The user has no permission on the space.
	".0101":      reason.UpstreamRouteNotFound,     // The API does not exist.
	".0103":      reason.UpstreamRouteNotFound,     // The backend does not exist.
	".0301":      reason.UpstreamTokenRejected,     // Incorrect IAM authentication information.
	".0302":      reason.UpstreamPermissionDenied,  // The IAM user is not authorized to access the API.
	".0303":      reason.UpstreamTokenRejected,     // Incorrect app authentication information.
	".0305":      reason.UpstreamTokenRejected,     // Incorrect authentication information: frontend authorizer.
	".0307":      reason.UpstreamTokenRejected,     // The token must be updated.
	".0308":      reason.UpstreamRateLimited,       // The throttling threshold has been reached.
}

// noPermission is KooDrive's code for another user's task.
const noPermission = "13000410"

// refusal returns the outcome of a refusal. HTTP 401 and 403 decide alone; otherwise a known code decides, else the
// status.
func refusal(e *upstream.StatusError) reason.Outcome {
	switch e.Status {
	case http.StatusUnauthorized:
		return reason.UpstreamTokenRejected
	case http.StatusForbidden:
		return reason.UpstreamPermissionDenied
	}
	code := strings.TrimPrefix(strings.TrimPrefix(e.Code, "APIGW"), "APIG")
	if outcome, ok := byCode[code]; ok {
		return outcome
	}
	switch {
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
			asApp(e)
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
func asApp(e *reason.Error) {
	switch e.Outcome {
	case reason.UpstreamTokenRejected, reason.UpstreamCredentialRejected:
		e.Outcome = reason.FacadeCredentialRejected
	case reason.UpstreamPermissionDenied:
		if e.UpstreamCode == noPermission {
			e.Outcome = reason.TaskNotFound
		}
	}
	if e.Outcome == reason.TaskNotFound {
		e.UpstreamStatus, e.UpstreamCode = 0, ""
	}
}
