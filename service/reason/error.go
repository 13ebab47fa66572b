package reason

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"regexp"
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

// Error is a call that failed. The caller sees what the table says of the outcome, and of the fields all but Cause.
type Error struct {
	Outcome Outcome
	// Violations say what is wrong with the request, field by field: with REQUEST_INVALID alone. Ten at the most.
	Violations []Violation
	// UpstreamStatus and UpstreamCode are KooDrive's HTTP status and error code: 0 and empty if there was none. Shown
	// with the reasons that the contract names.
	UpstreamStatus int
	UpstreamCode   string
	// Metadata is further ErrorInfo.metadata.
	Metadata map[string]string
	// RetryAfter replaces the table's delay if it is longer.
	RetryAfter time.Duration
	// Cause is for the log.
	Cause error
}

// Violation is one field of a request that is wrong. It does not repeat the value.
type Violation struct {
	// Field is the proto's name of a field, or the name of a header in lower case, or "query" or "body".
	Field string
	// Reason is one of the constants below.
	Reason ViolationReason
	// Description is a fixed sentence for people.
	Description string
}

// ViolationReason is why a field is wrong, for programs.
type ViolationReason string

// Why a field is wrong.
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

// Invalid returns the Error of a request in which one field is wrong.
func Invalid(outcome Outcome, field string, why ViolationReason, description string) *Error {
	return &Error{Outcome: outcome, Violations: []Violation{{field, why, description}}}
}

// Error is for the log.
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

// Reason is the public name of what happened.
func (e *Error) Reason() string {
	if e.Outcome.Reason == taskv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ""
	}
	return e.Outcome.Reason.String()
}

// Of returns what err comes to: err itself if it is an *Error. A context's error is the caller's doing, and what is
// neither is a bug.
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

// MetadataTooLong is how a call is refused before it is one: like those for which gRPC's own library finds a message too long, it has
// no details, and is not logged.
var MetadataTooLong = status.New(codes.ResourceExhausted, "The call has more than 16 KiB of metadata.")

// upstreamCode is the form of what is passed on of KooDrive's codes.
var upstreamCode = regexp.MustCompile(`^[A-Z.0-9]{1,32}$`)

// MaxStatus is the size of the largest status with its details, in bytes: it has to pass where headers may have 8 KiB. What
// is put into one is limited so that it cannot be reached.
const MaxStatus = 4 << 10

const (
	maxMetadata   = 256
	maxViolations = 10
)

// Status is e as the caller gets it, in answer to the request with this id. It has the text of the catalogue in the language too,
// as LocalizedMessage; without a language it has none.
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
	if text := catalogues[language][e.Outcome.Reason]; text != "" {
		details = append(details, &errdetails.LocalizedMessage{Locale: language, Message: text})
	}
	st, err := status.New(row.code, row.english).WithDetails(details...)
	if err != nil { // Only text that is not UTF-8 can cause it, and clean leaves none.
		return status.New(codes.Internal, rows[taskv1.ErrorReason_SERVER_ERROR].english)
	}
	return st
}

func (e *Error) metadata(row row) map[string]string {
	m := map[string]string{}
	for k, v := range e.Metadata {
		m[k] = clean(v)
	}
	if row.upstream {
		upstream := map[string]string{"upstreamStatus": "", "upstreamCode": ""}
		if upstreamCode.MatchString(e.UpstreamCode) {
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

// pick returns a random delay of the range, or one of a range that begins with told if that is later. Two callers get
// two delays, so that they do not come back together.
func (d delay) pick(told time.Duration) time.Duration {
	spread := d.max - d.min
	return max(d.min, told) + rand.N(spread+1)
}

// clean makes s fit for a status: UTF-8 without control characters, and not too long.
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
