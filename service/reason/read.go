package reason

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Read returns the reason and the retry delay of a status. The reason is empty if the status is not kootask's; retry is
// nil if it has no delay.
func Read(st *status.Status) (reason string, retry *time.Duration) {
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == Domain {
				reason = d.GetReason()
			}
		case *errdetails.RetryInfo:
			delay := d.GetRetryDelay().AsDuration()
			retry = &delay
		}
	}
	return reason, retry
}

// Complete returns st if it is kootask's, and otherwise the status of [OfStatus].
func Complete(st *status.Status, requestID, language string) *status.Status {
	if reason, _ := Read(st); reason != "" {
		return st
	}
	return OfStatus(st).Status(requestID, language)
}

// OfStatus returns an Error for a status that is not kootask's, by its code: gRPC's libraries make such statuses, with
// texts of their own.
func OfStatus(st *status.Status) *Error {
	e := &Error{Cause: st.Err()}
	switch st.Code() {
	case codes.InvalidArgument:
		e = Invalid(RequestMalformed, "request", Malformed, "The request cannot be read.")
		e.Cause = st.Err()
	case codes.NotFound:
		e.Outcome = RouteNotFound
	case codes.Unimplemented:
		e.Outcome = MethodNotAllowed
	case codes.DeadlineExceeded:
		e.Outcome = CallerDeadline
	case codes.Unavailable:
		e.Outcome = ServerDraining
	case codes.Canceled:
		e.Outcome = CallerCancelled
	default:
		e.Outcome = FacadeBug
	}
	return e
}
