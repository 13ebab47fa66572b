// Package reason is the table of all errors of a call: their public reason, code and text, and whether to retry.
// Nothing else builds a status, so one outcome looks the same over gRPC, REST, JSON lines and server-sent events.
//
// Each error has two names. The reason is public, a value of the contract's ErrorReason, and says what a client should
// do next. The outcome is finer and for operators, in logs and metrics.
//
//	return &reason.Error{Outcome: reason.TaskNotFound, UpstreamStatus: 400, UpstreamCode: "13000309", Cause: err}
package reason

import (
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"
)

// Domain is the ErrorInfo.domain of every error.
const Domain = "koodrive.task.v1"

// Outcome is one kind of error.
type Outcome struct {
	// Name is the name in logs and metrics. It has the form of a reason.
	Name string
	// Reason is the public reason.
	Reason taskv1.ErrorReason
}

// Outcomes of the request itself: KooDrive was not asked, or its answer did not matter.
var (
	TaskIDInvalid        = own("TASK_ID_INVALID", taskv1.ErrorReason_REQUEST_INVALID)
	MaxAgeInvalid        = own("MAX_AGE_INVALID", taskv1.ErrorReason_REQUEST_INVALID)
	TimeoutInvalid       = own("TIMEOUT_INVALID", taskv1.ErrorReason_REQUEST_INVALID)
	QueryInvalid         = own("QUERY_INVALID", taskv1.ErrorReason_REQUEST_INVALID)
	RequestMalformed     = own("REQUEST_MALFORMED", taskv1.ErrorReason_REQUEST_INVALID)
	HeaderInvalid        = own("HEADER_INVALID", taskv1.ErrorReason_REQUEST_INVALID)
	CredentialAmbiguous  = own("CREDENTIAL_AMBIGUOUS", taskv1.ErrorReason_REQUEST_INVALID)
	CredentialMalformed  = own("CREDENTIAL_MALFORMED", taskv1.ErrorReason_REQUEST_INVALID)
	CredentialMissing    = own("CREDENTIAL_MISSING", taskv1.ErrorReason_CREDENTIAL_MISSING)
	CallerDeadline       = own("CALLER_DEADLINE", taskv1.ErrorReason_CALLER_DEADLINE)
	TaskFailed           = own("TASK_FAILED", taskv1.ErrorReason_TASK_FAILED)
	RouteNotFound        = own("ROUTE_NOT_FOUND", taskv1.ErrorReason_ROUTE_NOT_FOUND)
	MethodNotAllowed     = own("METHOD_NOT_ALLOWED", taskv1.ErrorReason_METHOD_NOT_ALLOWED)
	WatchLifetimeReached = own("WATCH_LIFETIME_REACHED", taskv1.ErrorReason_WATCH_LIFETIME_REACHED)
	WatcherTooSlow       = own("WATCHER_TOO_SLOW", taskv1.ErrorReason_WATCHER_TOO_SLOW)
	CallerLimitReached   = own("CALLER_LIMIT_REACHED", taskv1.ErrorReason_CALLER_LIMIT_REACHED)
	FacadeOverloaded     = own("FACADE_OVERLOADED", taskv1.ErrorReason_SERVER_OVERLOADED)
	ServerDraining       = own("SERVER_DRAINING", taskv1.ErrorReason_SERVER_DRAINING)
	FacadeBug            = own("FACADE_BUG", taskv1.ErrorReason_SERVER_ERROR)
	// CallerNotAuthenticated means that the token or certificate is missing or invalid, and CallerTokenExpired that it
	// was valid and has expired. CallerKeysUnavailable means that it cannot be checked, because the issuer's keys
	// cannot be fetched, and TicketInvalid that the ticket is unknown, used, expired or for another task.
	CallerNotAuthenticated = own("CALLER_NOT_AUTHENTICATED", taskv1.ErrorReason_CALLER_UNAUTHENTICATED)
	CallerTokenExpired     = own("CALLER_TOKEN_EXPIRED", taskv1.ErrorReason_CALLER_UNAUTHENTICATED)
	CallerKeysUnavailable  = own("CALLER_KEYS_UNAVAILABLE", taskv1.ErrorReason_SERVER_OVERLOADED)
	TicketInvalid          = own("TICKET_INVALID", taskv1.ErrorReason_CALLER_UNAUTHENTICATED)
	UserNotAllowed         = own("USER_NOT_ALLOWED", taskv1.ErrorReason_USER_NOT_ALLOWED)
	// CallerCancelled has no public reason: the caller has left.
	CallerCancelled = own("CALLER_CANCELLED", taskv1.ErrorReason_ERROR_REASON_UNSPECIFIED)
)

// Outcomes of requests to KooDrive.
var (
	// TaskDisappeared means that a watched task, which existed, is not found any more.
	TaskDisappeared = koodrives("TASK_DISAPPEARED", taskv1.ErrorReason_TASK_NOT_FOUND)
	// UpstreamStale means that a watch has had no answer from KooDrive for too long.
	UpstreamStale              = koodrives("UPSTREAM_STALE", taskv1.ErrorReason_UPSTREAM_STALE)
	TaskNotFound               = koodrives("TASK_NOT_FOUND", taskv1.ErrorReason_TASK_NOT_FOUND)
	UpstreamCredentialRejected = koodrives("UPSTREAM_CREDENTIAL_REJECTED", taskv1.ErrorReason_CREDENTIAL_REJECTED)
	UpstreamTokenRejected      = koodrives("UPSTREAM_TOKEN_REJECTED", taskv1.ErrorReason_CREDENTIAL_REJECTED)
	UpstreamRejectedParameter  = koodrives("UPSTREAM_REJECTED_PARAMETER", taskv1.ErrorReason_REQUEST_INVALID)
	FacadeCredentialRejected   = koodrives("FACADE_CREDENTIAL_REJECTED", taskv1.ErrorReason_SERVER_MISCONFIGURED)
	UpstreamTLSUntrusted       = koodrives("UPSTREAM_TLS_UNTRUSTED", taskv1.ErrorReason_SERVER_MISCONFIGURED)
	UpstreamProxyRefused       = koodrives("UPSTREAM_PROXY_REFUSED", taskv1.ErrorReason_SERVER_MISCONFIGURED)
	UpstreamRouteNotFound      = koodrives("UPSTREAM_ROUTE_NOT_FOUND", taskv1.ErrorReason_SERVER_MISCONFIGURED)
	UpstreamPermissionDenied   = koodrives("UPSTREAM_PERMISSION_DENIED", taskv1.ErrorReason_UPSTREAM_PERMISSION_DENIED)
	UpstreamRateLimited        = koodrives("UPSTREAM_RATE_LIMITED", taskv1.ErrorReason_UPSTREAM_RATE_LIMITED)
	UpstreamTimeout            = koodrives("UPSTREAM_TIMEOUT", taskv1.ErrorReason_UPSTREAM_TIMEOUT)
	UpstreamUnreachable        = koodrives("UPSTREAM_UNREACHABLE", taskv1.ErrorReason_UPSTREAM_UNREACHABLE)
	UpstreamUnavailable        = koodrives("UPSTREAM_UNAVAILABLE", taskv1.ErrorReason_UPSTREAM_UNAVAILABLE)
	UpstreamCircuitOpen        = koodrives("UPSTREAM_CIRCUIT_OPEN", taskv1.ErrorReason_UPSTREAM_UNAVAILABLE)
	UpstreamError              = koodrives("UPSTREAM_ERROR", taskv1.ErrorReason_UPSTREAM_UNAVAILABLE)
	UpstreamInternalFailure    = koodrives("UPSTREAM_INTERNAL_FAILURE", taskv1.ErrorReason_UPSTREAM_UNAVAILABLE)
	UpstreamMalformedBody      = koodrives("UPSTREAM_MALFORMED_BODY", taskv1.ErrorReason_UPSTREAM_MALFORMED_BODY)
	UpstreamContractViolation  = koodrives("UPSTREAM_CONTRACT_VIOLATION", taskv1.ErrorReason_UPSTREAM_CONTRACT_VIOLATION)
	UpstreamResponseMismatch   = koodrives("UPSTREAM_RESPONSE_MISMATCH", taskv1.ErrorReason_UPSTREAM_CONTRACT_VIOLATION)
	UpstreamBodyTooLarge       = koodrives("UPSTREAM_BODY_TOO_LARGE", taskv1.ErrorReason_UPSTREAM_CONTRACT_VIOLATION)
	UpstreamRedirect           = koodrives("UPSTREAM_REDIRECT", taskv1.ErrorReason_UPSTREAM_CONTRACT_VIOLATION)
	UpstreamRequestRejected    = koodrives("UPSTREAM_REQUEST_REJECTED", taskv1.ErrorReason_UPSTREAM_CONTRACT_VIOLATION)
	UpstreamBusinessError      = koodrives("UPSTREAM_BUSINESS_ERROR", taskv1.ErrorReason_UPSTREAM_BUSINESS_ERROR)
)

var ownOutcomes, koodriveOutcomes []Outcome

func own(name string, public taskv1.ErrorReason) Outcome {
	ownOutcomes = append(ownOutcomes, Outcome{name, public})
	return Outcome{name, public}
}

func koodrives(name string, public taskv1.ErrorReason) Outcome {
	koodriveOutcomes = append(koodriveOutcomes, Outcome{name, public})
	return Outcome{name, public}
}

// Outcomes returns all outcomes.
func Outcomes() []Outcome { return slices.Concat(ownOutcomes, koodriveOutcomes) }

// KooDriveOutcomes returns the outcomes of requests to KooDrive.
func KooDriveOutcomes() []Outcome { return slices.Clone(koodriveOutcomes) }

// Unlimited is the tolerance for transient outcomes: the watch goes on until it is stale.
const Unlimited = -1

// tolerance is the number of consecutive polls with an outcome that end a watch which has seen its task. An answer
// resets the count; an outcome of unlimited tolerance does not change it. Outcomes that are not listed end a watch at
// once.
var tolerance = map[Outcome]int{
	UpstreamTokenRejected:      2, // A single faulty KooDrive node must not end watches.
	UpstreamCredentialRejected: 2,
	UpstreamPermissionDenied:   2,
	TaskNotFound:               3, // KooDrive's nodes may lag.
	FacadeCredentialRejected:   3, // A deployment may cause and fix an operator's error within a few polls.
	UpstreamTLSUntrusted:       3,
	UpstreamProxyRefused:       3,
	UpstreamRouteNotFound:      3,
	UpstreamContractViolation:  3,
	UpstreamResponseMismatch:   3,
	UpstreamBodyTooLarge:       3,
	UpstreamRedirect:           3,
	UpstreamRequestRejected:    3,
	UpstreamBusinessError:      3,
	UpstreamRateLimited:        Unlimited,
	UpstreamTimeout:            Unlimited,
	UpstreamUnreachable:        Unlimited,
	UpstreamUnavailable:        Unlimited,
	UpstreamError:              Unlimited,
	UpstreamCircuitOpen:        Unlimited,
	UpstreamInternalFailure:    Unlimited,
	UpstreamMalformedBody:      Unlimited,
}

// Tolerance returns the number of consecutive polls with the outcome that end a watch which has seen its task, or
// Unlimited.
func (o Outcome) Tolerance() int {
	if n, ok := tolerance[o]; ok {
		return n
	}
	return 1
}

// row describes the status of a reason.
type row struct {
	code codes.Code
	// english is the whole text of the status. It is the same for every caller and contains nothing from the request.
	english string
	// retry is the range from which a random retry delay is picked. Zero: do not retry.
	retry delay
	// upstream adds KooDrive's status and code to ErrorInfo.metadata.
	upstream bool
}

type delay struct{ min, max time.Duration }

var (
	soon        = delay{time.Second, 3 * time.Second}
	comeBack    = delay{0, 5 * time.Second}
	staleSpread = delay{5 * time.Second, 30 * time.Second}
	afterLimit  = delay{60 * time.Second, 75 * time.Second} // KooDrive limits requests per minute, and counts refused ones.
)

var rows = map[taskv1.ErrorReason]row{
	taskv1.ErrorReason_REQUEST_INVALID: {
		code:    codes.InvalidArgument,
		english: "The request is invalid. See the field violations.",
	},
	taskv1.ErrorReason_CREDENTIAL_MISSING: {
		code:    codes.Unauthenticated,
		english: "The request has no credential. Send a KooDrive credential as authorization.",
	},
	taskv1.ErrorReason_CREDENTIAL_REJECTED: {
		code: codes.Unauthenticated, upstream: true,
		english: "KooDrive rejected the credential. Get a new one.",
	},
	taskv1.ErrorReason_TASK_NOT_FOUND: {
		code: codes.NotFound, upstream: true,
		english: "KooDrive has no such task.",
	},
	taskv1.ErrorReason_CALLER_DEADLINE: {
		code:    codes.DeadlineExceeded,
		english: "The deadline of the call has passed. Set a longer one.",
	},
	taskv1.ErrorReason_WATCH_LIFETIME_REACHED: {
		code: codes.Unavailable, retry: comeBack,
		english: "The watch has reached its maximum duration. Watch again.",
	},
	taskv1.ErrorReason_WATCHER_TOO_SLOW: {
		code: codes.ResourceExhausted, retry: soon,
		english: "The client does not read the stream. Watch again, and read every message.",
	},
	taskv1.ErrorReason_UPSTREAM_STALE: {
		code: codes.Unavailable, retry: staleSpread, upstream: true,
		english: "KooDrive has not answered for too long. Watch again later.",
	},
	taskv1.ErrorReason_SERVER_DRAINING: {
		code: codes.Unavailable, retry: comeBack,
		english: "The server is stopping. Call again; another server will answer.",
	},
	taskv1.ErrorReason_CALLER_LIMIT_REACHED: {
		code: codes.ResourceExhausted, retry: soon,
		english: "The caller has reached a limit. The metadata names it.",
	},
	taskv1.ErrorReason_SERVER_OVERLOADED: {
		code: codes.Unavailable, retry: soon,
		english: "The server is overloaded. Retry later.",
	},
	taskv1.ErrorReason_SERVER_MISCONFIGURED: {
		code:    codes.Internal,
		english: "The server cannot use KooDrive. Its operator has to act.",
	},
	taskv1.ErrorReason_SERVER_ERROR: {
		code:    codes.Internal,
		english: "Internal error. Report it with the request id.",
	},
	taskv1.ErrorReason_UPSTREAM_PERMISSION_DENIED: {
		code: codes.PermissionDenied, upstream: true,
		english: "The credential may not read this task.",
	},
	taskv1.ErrorReason_UPSTREAM_RATE_LIMITED: {
		code: codes.ResourceExhausted, retry: afterLimit, upstream: true,
		english: "KooDrive limits the rate of requests. Retry later.",
	},
	taskv1.ErrorReason_UPSTREAM_TIMEOUT: {
		code: codes.Unavailable, retry: soon, upstream: true,
		english: "KooDrive did not answer in time. Retry later.",
	},
	taskv1.ErrorReason_UPSTREAM_UNREACHABLE: {
		code: codes.Unavailable, retry: soon, upstream: true,
		english: "KooDrive cannot be reached. Retry later.",
	},
	taskv1.ErrorReason_UPSTREAM_UNAVAILABLE: {
		code: codes.Unavailable, retry: soon, upstream: true,
		english: "KooDrive is unavailable. Retry later.",
	},
	taskv1.ErrorReason_UPSTREAM_MALFORMED_BODY: {
		code: codes.Unavailable, retry: soon, upstream: true,
		english: "KooDrive's answer cannot be read. Retry later.",
	},
	taskv1.ErrorReason_UPSTREAM_CONTRACT_VIOLATION: {
		code: codes.Internal, upstream: true,
		english: "KooDrive sent an invalid answer.",
	},
	taskv1.ErrorReason_UPSTREAM_BUSINESS_ERROR: {
		code: codes.Unknown, upstream: true,
		english: "KooDrive refused the request with an unknown code.",
	},
	taskv1.ErrorReason_ROUTE_NOT_FOUND: {
		code:    codes.NotFound,
		english: "The path does not exist.",
	},
	taskv1.ErrorReason_METHOD_NOT_ALLOWED: {
		code:    codes.Unimplemented,
		english: "The method is not supported here.",
	},
	taskv1.ErrorReason_TASK_FAILED: {
		code:    codes.Aborted,
		english: "The task has failed.",
	},
	taskv1.ErrorReason_CALLER_UNAUTHENTICATED: {
		code:    codes.Unauthenticated,
		english: "The caller is not authenticated. Present a valid token, certificate or ticket.",
	},
	taskv1.ErrorReason_USER_NOT_ALLOWED: {
		code:    codes.PermissionDenied,
		english: "The caller may not act for this KooDrive user.",
	},
}
