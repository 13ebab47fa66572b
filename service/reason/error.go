package reason

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// Error is the failure of a call. The caller sees the table's row for Outcome and all fields but Cause.
type Error struct {
	Outcome Outcome
	// Violations name the invalid fields of a request, only with REQUEST_INVALID. Status shows at most maxViolations.
	Violations []Violation
	// UpstreamStatus and UpstreamCode are KooDrive's HTTP status and error code; 0 and empty without an answer. Shown
	// only with the reasons for which the contract names them.
	UpstreamStatus int
	UpstreamCode   string
	// Metadata is added to ErrorInfo.metadata.
	Metadata map[string]string
	// Localized are texts by language, in place of the catalogue's. Nil: there are none.
	Localized map[string]string
	// RetryAfter replaces the table's delay if it is longer.
	RetryAfter time.Duration
	// Cause is logged and never shown to the caller.
	Cause error
}

// Violation is one invalid field of a request. It does not repeat the value.
type Violation struct {
	// Field is the name of a proto field, of a header in lower case, or "query" or "body".
	Field string
	// Reason is one of the constants below.
	Reason ViolationReason
	// Description is a fixed sentence for people.
	Description string
}

// ViolationReason says in a machine-readable form why a field is invalid.
type ViolationReason string

// Reasons of violations.
const (
	Missing            ViolationReason = "MISSING"
	Malformed          ViolationReason = "MALFORMED"
	Reserved           ViolationReason = "RESERVED"
	Repeated           ViolationReason = "REPEATED"
	TooLong            ViolationReason = "TOO_LONG"
	OutOfRange         ViolationReason = "OUT_OF_RANGE"
	Unsupported        ViolationReason = "UNSUPPORTED"
	UnknownParameter   ViolationReason = "UNKNOWN_PARAMETER"
	RejectedByKooDrive ViolationReason = "REJECTED_BY_KOODRIVE"
)

// Invalid returns the Error of a request with one invalid field.
func Invalid(outcome Outcome, field string, why ViolationReason, description string) *Error {
	return &Error{Outcome: outcome, Violations: []Violation{{field, why, description}}}
}

// Error returns the text for the log.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Outcome.Name)
	for _, v := range e.Violations {
		b.WriteString(": " + v.Field + " " + string(v.Reason))
	}
	if e.Cause != nil {
		b.WriteString(": " + e.Cause.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Cause }

// Reason returns the public name of the error; empty for CallerCancelled.
func (e *Error) Reason() string {
	if e.Outcome.Reason == taskv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ""
	}
	return e.Outcome.Reason.String()
}

// Of returns err as an *Error. Context errors become the caller's; any other error is a bug.
func Of(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return &Error{Outcome: CallerCancelled, Cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Error{Outcome: CallerDeadline, Cause: err}
	default:
		return &Error{Outcome: FacadeBug, Cause: err}
	}
}

// MetadataTooLong refuses a call before it is handled. Like the errors of gRPC's library for large messages, it has no
// details and is not logged.
var MetadataTooLong = status.New(codes.ResourceExhausted, "The call has more than 16 KiB of metadata.")

// isUpstreamCode reports whether a code of KooDrive is passed on.
func isUpstreamCode(code string) bool {
	return code != "" && len(code) <= 32 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ.0123456789") == ""
}

// MaxStatus limits the size of a status with its details, in bytes: it must pass proxies that limit headers to 8 KiB.
// The limits on its parts keep it below.
const MaxStatus = 4 << 10

const (
	maxMetadata   = 256
	maxViolations = 10
)

// Status returns the status that the caller gets for the request. In a language with a catalogue, it includes the text
// as LocalizedMessage; with an empty language it does not.
func (e *Error) Status(requestID, language string) *status.Status {
	if e.Outcome == CallerCancelled {
		return status.New(codes.Canceled, "The caller has left.")
	}
	row := rows[e.Outcome.Reason]
	details := []protoadapt.MessageV1{
		&errdetails.ErrorInfo{Reason: e.Reason(), Domain: Domain, Metadata: e.metadata(row)},
		&errdetails.RequestInfo{RequestId: clean(requestID)},
	}
	if row.retry != (delay{}) {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(row.retry.pick(e.RetryAfter))})
	}
	if len(e.Violations) > 0 {
		bad := &errdetails.BadRequest{}
		for _, v := range e.Violations[:min(len(e.Violations), maxViolations)] {
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: v.Field, Reason: string(v.Reason), Description: v.Description,
			})
		}
		details = append(details, bad)
	}
	if text := cmp.Or(e.Localized[language], catalogues[language][e.Outcome.Reason]); text != "" {
		details = append(details, &errdetails.LocalizedMessage{Locale: language, Message: text})
	}
	st, err := status.New(row.code, row.english).WithDetails(details...)
	if err != nil { // WithDetails fails only on text that is not UTF-8, which clean removes.
		return status.New(codes.Internal, rows[taskv1.ErrorReason_SERVER_ERROR].english)
	}
	return st
}

// metadata returns ErrorInfo.metadata, with KooDrive's status and code if the row shows them.
func (e *Error) metadata(row row) map[string]string {
	m := map[string]string{}
	for k, v := range e.Metadata {
		m[k] = clean(v)
	}
	if row.upstream {
		upstream := map[string]string{"upstreamStatus": "", "upstreamCode": ""}
		if isUpstreamCode(e.UpstreamCode) {
			upstream["upstreamCode"] = e.UpstreamCode
		}
		if e.UpstreamStatus != 0 {
			upstream["upstreamStatus"] = strconv.Itoa(e.UpstreamStatus)
		}
		maps.Copy(m, upstream)
	}
	if len(m) == 0 {
		return nil
	}
	return m
}

// pick returns a random delay: from the range d or, if atLeast is later, from a range of the same length that begins
// there. The randomness keeps callers from coming back at once.
func (d delay) pick(atLeast time.Duration) time.Duration {
	spread := d.max - d.min
	return max(d.min, atLeast) + rand.N(spread+1)
}

// clean makes s valid for a status: UTF-8, without control characters, at most maxMetadata bytes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	for len(s) > maxMetadata {
		s = strings.ToValidUTF8(s[:maxMetadata], "")
	}
	return s
}
