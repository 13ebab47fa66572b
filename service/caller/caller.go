// Package caller reads the caller of a request from a few headers or metadata. The result is a Caller, or an error that
// names every invalid value. The gRPC server and the REST gateway share one Reader, so they accept the same.
//
// Tracing values never fail a call: an invalid request id or traceparent is replaced. The package does not check
// whether KooDrive accepts the credential.
package caller

import (
	"context"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/internal/taskid"
	"github.com/kootask/kootask/service/reason"
)

// Names of the metadata, and headers in any case, that are read. All others are ignored.
const (
	HeaderAuthorization = "authorization"
	HeaderUserID        = "x-user-id"
	HeaderDate          = "x-date"
	HeaderLanguage      = "language"
	HeaderRequestID     = "x-request-id"
	HeaderTraceParent   = "traceparent"
	// HeaderCallerToken carries the token for kootask, if HeaderAuthorization carries KooDrive's.
	HeaderCallerToken = "x-kootask-authorization"
	// HeaderForwardedFor is where proxies append the address of their client.
	HeaderForwardedFor = "x-forwarded-for"
)

// Mode says whose credential KooDrive sees. It is set by configuration, never inferred from a request.
type Mode int

const (
	// Forward sends the caller's own credential.
	Forward Mode = iota
	// App signs with the app's credential, for the KooDrive user that the caller names.
	App
)

// Caller is the caller of a request. Printing it does not reveal its credential.
type Caller struct {
	authorization secret.Value
	token         secret.Value       // Empty once the caller is admitted.
	still         func(Caller) error // See Still.
	// Name is the caller's authenticated name; empty without authentication.
	Name string
	// Expires is when the authentication expires. Zero: never.
	Expires time.Time
	// UserID and Date are x-user-id and x-date; empty if absent.
	UserID, Date string
	// Language is one of [reason.Languages]; empty if the call names none of them.
	Language string
	// RequestID identifies the call in answers and logs. Always set.
	RequestID string
	// Trace is the W3C trace id of the call. Always set.
	Trace [16]byte
	// Peer is the host that the call comes from, as [Peer] names it. Limits are counted by it.
	Peer string
	// Fingerprint identifies the credential in logs, without revealing it. Empty without a credential.
	Fingerprint string
}

// Authorization returns the credential for KooDrive as received; empty in App mode.
func (c Caller) Authorization() secret.Value { return c.authorization }

// Token returns the token for kootask as received; empty without one.
func (c Caller) Token() secret.Value { return c.token }

// Admitted returns the caller as authenticated: with its name, until expires (zero: never), and while still returns
// nil. still must not block. It is called with the caller of the current request: a ticket carries an admission over to
// another one.
func (c Caller) Admitted(name string, expires time.Time, still func(Caller) error) Caller {
	c.Name, c.Expires, c.still, c.token = name, expires, still, secret.Value{}
	return c
}

// Still returns nil while the caller may go on, and otherwise the reason: its authentication has expired or was
// revoked.
func (c Caller) Still() error {
	if !c.Expires.IsZero() && !time.Now().Before(c.Expires) {
		return &reason.Error{Outcome: reason.CallerTokenExpired}
	}
	if c.still == nil {
		return nil
	}
	return c.still(c)
}

// AppendAttrs appends the log attributes of a call for a task. An invalid task id is left out: it may be anything, even a
// token. This only keeps secrets out of the log: upstream.CheckTaskID decides whether an id is valid.
func (c *Caller) AppendAttrs(attrs []slog.Attr, taskID string) []slog.Attr {
	if !taskid.Valid(taskID) {
		taskID = ""
	}
	attrs = append(attrs,
		slog.String("task_id", taskID),
		slog.String("request_id", c.RequestID),
		slog.String("trace_id", hexText(c.Trace)),
		slog.String("credential", c.Fingerprint),
		slog.String("peer", c.Peer),
	)
	if c.Name != "" {
		attrs = append(attrs, slog.String("caller", c.Name))
	}
	return attrs
}

// AppendTasks appends the log attributes of a call for several tasks: the number of different ids, and the valid ones in
// their order. See AppendAttrs.
func AppendTasks(attrs []slog.Attr, taskIDs []string) []slog.Attr {
	seen, valid := make(map[string]bool, len(taskIDs)), make([]string, 0, len(taskIDs))
	for _, id := range taskIDs {
		if !seen[id] && taskid.Valid(id) {
			valid = append(valid, id)
		}
		seen[id] = true
	}
	return append(attrs, slog.Int("tasks", len(seen)), slog.Any("task_ids", valid))
}

// Reader reads callers. It is safe for concurrent use.
type Reader struct {
	mode        Mode
	tokenHeader string
	prints      *secret.Hasher
}

// NewReader returns a Reader for one mode. tokenHeader carries the token for kootask; empty: none is read. In Forward
// mode it cannot be HeaderAuthorization, which carries KooDrive's credential. Each Reader has its own fingerprints.
func NewReader(mode Mode, tokenHeader string) *Reader {
	return &Reader{mode: mode, tokenHeader: tokenHeader, prints: secret.NewHasher()}
}

// MaxHeader limits the size of a request's header, or of a call's metadata, in bytes as counted by [HeaderSize].
const MaxHeader = 16 << 10

// HeaderSize returns the size of metadata or an HTTP header, counted as in HTTP/2 (RFC 9113, 6.5.2).
func HeaderSize(header map[string][]string) int {
	const perField = 32
	size := 0
	for name, values := range header {
		for _, value := range values {
			size += len(name) + len(value) + perField
		}
	}
	return size
}

// Longest credential for KooDrive, token for kootask and user id, in bytes.
const (
	MaxAuthorization = 4096
	// MaxToken allows for the whole header: issuers put a user's groups into a token, and the rest of the header is
	// small.
	MaxToken  = MaxHeader
	MaxUserID = 64
)

const (
	maxDate     = 16
	maxLanguage = 16
)

// Read returns the caller of a request; values returns all values of a name, in any order. The error is a
// [*reason.Error] that names every invalid value. Even with an error, the tracing values and the language are set.
func (r *Reader) Read(values func(name string) []string) (Caller, error) {
	c := Nobody(values)
	var failure *reason.Error
	fail := func(outcome reason.Outcome, field string, why reason.ViolationReason, description string) {
		if failure == nil {
			failure = &reason.Error{Outcome: outcome}
		}
		violation := reason.Violation{Field: field, Reason: why, Description: description}
		failure.Violations = append(failure.Violations, violation)
	}
	one := func(name string, maxLength int) string {
		all := values(name)
		switch {
		case len(all) == 0:
			return ""
		case len(all) > 1:
			fail(reason.CredentialAmbiguous, name, reason.Repeated, "Send only one value.")
		case len(all[0]) > maxLength:
			fail(reason.CredentialMalformed, name, reason.TooLong, "Must have at most "+strconv.Itoa(maxLength)+" characters.")
		case !visible(all[0]) || maxLength < MaxAuthorization && strings.Contains(all[0], " "):
			fail(reason.CredentialMalformed, name, reason.Malformed, "Must contain only visible ASCII characters.")
		default:
			return all[0]
		}
		return ""
	}

	longest := MaxAuthorization
	if r.tokenHeader == HeaderAuthorization {
		longest = MaxToken
	}
	authorization := one(HeaderAuthorization, longest)
	token := authorization
	if r.tokenHeader != "" && r.tokenHeader != HeaderAuthorization {
		token = one(r.tokenHeader, MaxToken)
	}
	if r.tokenHeader != "" {
		c.token = secret.New(token)
	}
	c.UserID = one(HeaderUserID, MaxUserID)
	c.Date = one(HeaderDate, maxDate)
	if given := one(HeaderLanguage, maxLanguage); given != "" && c.Language == "" {
		fail(reason.HeaderInvalid, HeaderLanguage, reason.Unsupported, "Must be "+strings.Join(reason.Languages(), " or ")+".")
	}
	if authorization != "" {
		c.Fingerprint = r.fingerprint(authorization)
	}
	switch r.mode {
	case Forward:
		c.authorization = secret.New(authorization)
		if authorization == "" && failure == nil {
			failure = &reason.Error{Outcome: reason.CredentialMissing}
		}
	case App:
		if all := values(HeaderUserID); len(all) == 0 || len(all) == 1 && all[0] == "" {
			fail(reason.HeaderInvalid, HeaderUserID, reason.Missing, "Name the KooDrive user to act for.")
		}
	}
	if failure != nil {
		return c, failure
	}
	return c, nil
}

// Nobody returns the tracing values and the language of a request, as a Caller without authentication.
func Nobody(values func(name string) []string) Caller {
	c := Caller{RequestID: RequestID(values), Trace: traceID(values)}
	if given := values(HeaderLanguage); len(given) == 1 {
		c.Language = reason.Language(given[0])
	}
	return c
}

// visible reports whether s is printable ASCII without a space at either end.
func visible(s string) bool {
	return ascii.Printable(s) && strings.TrimSpace(s) == s
}

func (r *Reader) fingerprint(authorization string) string {
	sum := r.prints.Sum(authorization)
	var text [16]byte
	hex.Encode(text[:], sum[:len(text)/2])
	return string(text[:])
}

type contextKey struct{}

// Context is a context with a caller, which must not be changed afterwards: see [FromContext]. It can be part of another
// struct, which saves an allocation.
type Context struct {
	context.Context
	Caller *Caller
}

// Value implements [context.Context].
func (c *Context) Value(key any) any {
	if key == (contextKey{}) {
		return c.Caller
	}
	return c.Context.Value(key)
}

// NewContext returns ctx with c in it, which must not be changed afterwards.
func NewContext(ctx context.Context, c *Caller) context.Context { return &Context{ctx, c} }

// FromContext returns the Caller in ctx, or else an empty one. It must not be changed.
func FromContext(ctx context.Context) (who *Caller, ok bool) {
	if who, ok = ctx.Value(contextKey{}).(*Caller); ok {
		return who, true
	}
	return &Caller{}, false
}
