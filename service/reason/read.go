package reason

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Read returns the reason of a status and its delay for a retry, nil if it has none. The reason is empty if the status
// is not one of ours.
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

// Complete returns st if it is one of ours, and otherwise what it means by its code: gRPC's own libraries make such
// ones, whose text is theirs.
func Complete(st *status.Status, requestID string) *status.Status {
	if reason, _ := Read(st); reason != "" {
		return st
	}
	e := &Error{}
	switch st.Code() {
	case codes.InvalidArgument:
		e = Invalid(RequestMalformed, "request", Malformed, "It cannot be read.")
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
	return e.Status(requestID)
}
