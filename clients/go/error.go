package kootask

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// domain is that of kootask's reasons.
const domain = "koodrive.task.v1"

// Error is a call that failed. errors.Is finds context.Canceled and context.DeadlineExceeded in it, if they are why.
type Error struct {
	// Code is gRPC's.
	Code codes.Code
	// Reason is why, for programs: the name of a value of the contract's ErrorReason, or one that is newer. Empty if
	// kootask did not make the error: then gRPC's library did, a proxy, or [Config.CallerToken].
	Reason string
	// Message is for people. LocalizedMessage is the same in the language that the call named with [Language]: empty if
	// kootask has none.
	Message, LocalizedMessage string
	// Retry tells that kootask says that calling again may help, after RetryAfter. It says nothing where the connection
	// broke: that is an error without a Reason, whose Code is Unavailable.
	Retry      bool
	RetryAfter time.Duration
	// RequestID names the call in kootask's log. Empty if kootask did not make the error.
	RequestID string
	// Metadata is further facts, by the names that the contract gives to them: that of a failed task's code is
	// resultCode.
	Metadata map[string]string
	// Violations are what is wrong with the request, with the reason REQUEST_INVALID.
	Violations []Violation

	status *status.Status
	cause  error // The error of the call's context or of Config.CallerToken, if that ended the call.
}

// Violation is one field of a request that is wrong.
type Violation struct{ Field, Reason, Description string }

// Has reports whether the error has a reason, of those that this version knows.
func (e *Error) Has(reason taskv1.ErrorReason) bool { return e.Reason == reason.String() }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Message)
	if e.Reason != "" {
		fmt.Fprintf(&b, " (%s)", e.Reason)
	} else {
		fmt.Fprintf(&b, " (%v)", e.Code)
	}
	for _, v := range e.Violations {
		fmt.Fprintf(&b, " %s: %s %s", v.Field, v.Reason, v.Description)
	}
	return b.String()
}

// GRPCStatus lets the status package take the error apart.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Unwrap returns the error of the call's context or of [Config.CallerToken], if that ended the call.
func (e *Error) Unwrap() error { return e.cause }

// toError takes apart the status with which a call on ctx has ended. An Error stays as it is.
func toError(ctx context.Context, err error) *Error {
	var failure *Error
	if errors.As(err, &failure) {
		return failure
	}
	st := status.Convert(err)
	e := &Error{Code: st.Code(), Message: st.Message(), status: st, cause: ctx.Err()}
	if e.cause == nil && e.Code == codes.DeadlineExceeded {
		e.cause = context.DeadlineExceeded // kootask says so a moment before the context does.
	}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == domain {
				e.Reason, e.Metadata = d.GetReason(), d.GetMetadata()
			}
		case *errdetails.RequestInfo:
			e.RequestID = d.GetRequestId()
		case *errdetails.RetryInfo:
			e.Retry, e.RetryAfter = true, d.GetRetryDelay().AsDuration()
		case *errdetails.LocalizedMessage:
			e.LocalizedMessage = d.GetMessage()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{v.GetField(), v.GetReason(), v.GetDescription()})
			}
		}
	}
	return e
}
