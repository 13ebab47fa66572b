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

// domain is the ErrorInfo.domain of kootask's errors.
const domain = "koodrive.task.v1"

// Error is the error of a call. errors.Is finds context.Canceled or context.DeadlineExceeded in it if that was the
// cause.
type Error struct {
	// Code is the gRPC code.
	Code codes.Code
	// Reason is the machine-readable cause: the name of a value of the contract's ErrorReason, or of a newer one. Empty
	// if the error is not from kootask, but from gRPC's library, a proxy or [Config.CallerToken].
	Reason string
	// Message is for people. LocalizedMessage is the same text in the language of [Language]; empty without that
	// option. If the address is wrong, Message begins with what the client has found there.
	Message, LocalizedMessage string
	// Retry reports whether kootask recommends a retry, after RetryAfter. It is false after a broken connection (an
	// error with Code Unavailable and no Reason), although a retry may help.
	Retry      bool
	RetryAfter time.Duration
	// TaskID is the id of the task in [Event.Dropped]. Empty for other errors.
	TaskID string
	// RequestID identifies the call in kootask's log. Empty if the error is not from kootask.
	RequestID string
	// Metadata has further details, under the contract's names. For example, resultCode is the code of a failed task.
	Metadata map[string]string
	// Violations are the invalid fields of the request, if the reason is REQUEST_INVALID.
	Violations []Violation

	status *status.Status
	cause  error // Error of the call's context or of Config.CallerToken, if that ended the call.
}

// Violation is an invalid field of a request.
type Violation struct{ Field, Reason, Description string }

// Has reports whether the error has this reason.
func (e *Error) Has(reason taskv1.ErrorReason) bool { return e.Reason == reason.String() }

func (e *Error) Error() string {
	var b strings.Builder
	if e.TaskID != "" {
		fmt.Fprintf(&b, "task %s: ", e.TaskID)
	}
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

// GRPCStatus returns the error's status as it came, for the status package.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Unwrap returns the error of the call's context or of [Config.CallerToken], if that ended the call.
func (e *Error) Unwrap() error { return e.cause }

// toError converts the error of a call with the context ctx. It returns an *Error unchanged.
func toError(ctx context.Context, err error) *Error {
	var failure *Error
	if errors.As(err, &failure) {
		return failure
	}
	st := status.Convert(err)
	e := &Error{Code: st.Code(), Message: st.Message(), status: st, cause: ctx.Err()}
	if e.cause == nil && e.Code == codes.DeadlineExceeded {
		e.cause = context.DeadlineExceeded // kootask ends a call a moment before the context's deadline.
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
