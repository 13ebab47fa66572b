// Package caller reads from a request who asks and as whom: the values of a few headers or metadata, by name, become a
// Caller or a failure that says which of them is wrong. The gRPC server and the REST gateway use one Reader, so that
// both doors have the same lock.
//
// What is said about tracing never fails a call: a bad request id or traceparent is replaced. Whether KooDrive accepts
// the credential is not asked here.
package caller

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/internal/secret"
	"github.com/kootask/kootask/internal/taskid"
	"github.com/kootask/kootask/service/reason"
)

// Names of what is read, as metadata and, in any case, as headers. Nothing else is.
const (
	HeaderAuthorization = "authorization"
	HeaderUserID        = "x-user-id"
	HeaderDate          = "x-date"
	HeaderLanguage      = "language"
	HeaderRequestID     = "x-request-id"
	HeaderTraceParent   = "traceparent"
	// HeaderCallerToken is where the token by which kootask knows the caller travels, beside the one for KooDrive.
	HeaderCallerToken = "x-kootask-authorization"
	// HeaderForwardedFor is where proxies say whom a request comes from.
	HeaderForwardedFor = "x-forwarded-for"
)

// Mode is whose credential KooDrive sees. It is chosen by configuration, never by what a request lacks.
type Mode int

const (
	// Forward sends on the caller's own credential.
	Forward Mode = iota
	// App signs with the app's, for the KooDrive user whom the caller names.
	App
)

// Caller is who asks. It cannot be printed to show its credential.
type Caller struct {
	authorization secret.Value
	token         secret.Value       // Empty once the caller is admitted.
	still         func(Caller) error // See Still.
	// Name is by what kootask knows the caller; empty if it asks nobody.
	Name string
	// Expires is when kootask does not know the caller any more. Zero is never.
	Expires time.Time
	// UserID and Date are x-user-id and x-date; empty if absent.
	UserID, Date string
	// Language is one of [reason.Languages]; empty if the call named none, or another.
	Language string
	// RequestID names the call in answers and logs. Always set.
	RequestID string
	// Trace is the W3C trace id that the call belongs to. Always set.
	Trace [16]byte
	// Peer is the host that the call comes from, as [Peer] names it: what it costs KooDrive is limited by it.
	Peer string
	// Fingerprint stands for the credential in logs: callers with the same one have the same. Empty without a credential.
	Fingerprint string
}

// Authorization returns the credential as it came, empty in app mode.
func (c Caller) Authorization() secret.Value { return c.authorization }

// Token returns the token by which kootask is to know the caller, as it came; empty if there is none.
func (c Caller) Token() secret.Value { return c.token }

// Admitted returns the caller once it is decided that it may call: by its name, until it expires (zero: never), and as long as
// still, which must not block, reports no error. It is asked for the caller as it is then: by a ticket, it makes another request.
func (c Caller) Admitted(name string, expires time.Time, still func(Caller) error) Caller {
	c.Name, c.Expires, c.still, c.token = name, expires, still, secret.Value{}
	return c
}

// Still reports why the caller may not go on, nil if it may: it has expired, or what it was admitted with says so.
func (c Caller) Still() error {
	if !c.Expires.IsZero() && !time.Now().Before(c.Expires) {
		return &reason.Error{Outcome: reason.CallerTokenExpired}
	}
	if c.still == nil {
		return nil
	}
	return c.still(c)
}

// LogAttrs is what a log line says of a call: who made it and for which task. An id that cannot be one is left out: it
// may be anything, a token too.
func (c Caller) LogAttrs(taskID string) []slog.Attr {
	if !taskid.Valid(taskID) {
		taskID = ""
	}
	attrs := []slog.Attr{
		slog.String("task_id", taskID),
		slog.String("request_id", c.RequestID),
		slog.String("trace_id", hex.EncodeToString(c.Trace[:])),
		slog.String("credential", c.Fingerprint),
		slog.String("peer", c.Peer),
	}
	if c.Name != "" {
		attrs = append(attrs, slog.String("caller", c.Name))
	}
	return attrs
}

// Reader reads callers. It is safe for concurrent use.
type Reader struct {
	mode        Mode
	tokenHeader string
	key         [32]byte
}

// NewReader returns a Reader for one mode, which finds the caller's token for kootask in a header; empty: it reads none. In
// the mode Forward it cannot be authorization, which is KooDrive's. Fingerprints of different Readers do not match.
func NewReader(mode Mode, tokenHeader string) *Reader {
	r := &Reader{mode: mode, tokenHeader: tokenHeader}
	_, _ = rand.Read(r.key[:])
	return r
}

// MaxHeader is the size of the largest header of a request, or metadata of a call, that is answered, in bytes: see [HeaderSize].
const MaxHeader = 16 << 10

// HeaderSize is the size of metadata or of an HTTP header, counted as in HTTP/2 (RFC 9113, 6.5.2).
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

// Lengths of the longest credential for KooDrive, token for kootask and user id, in bytes.
const (
	MaxAuthorization = 4096
	// MaxToken is that of a request's whole header: issuers put the groups of a user into a token, and the rest of the header
	// needs little.
	MaxToken  = MaxHeader
	MaxUserID = 64
)

const (
	maxDate     = 16
	maxLanguage = 16
)

// Read returns who asks, given all values that the request has for a name, in any order. The error is a *reason.Error
// that names every value at fault; what is for tracing, and the language, is set all the same.
func (r *Reader) Read(values func(name string) []string) (Caller, error) {
	c := Nobody(values)
	var failure *reason.Error
	fail := func(outcome reason.Outcome, field string, why reason.ViolationReason, description string) {
		if failure == nil {
			failure = &reason.Error{Outcome: outcome}
		}
		failure.Violations = append(failure.Violations, reason.Violation{Field: field, Reason: why, Description: description})
	}
	one := func(name string, maxLength int) string {
		all := values(name)
		switch {
		case len(all) == 0:
			return ""
		case len(all) > 1:
			fail(reason.CredentialAmbiguous, name, reason.Repeated, "Send only one value.")
		case len(all[0]) > maxLength:
			fail(reason.CredentialMalformed, name, reason.TooLong, "Longer than allowed.")
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

// Nobody returns what a request says about tracing and its language, of a caller who is not asked who it is.
func Nobody(values func(name string) []string) Caller {
	c := Caller{RequestID: RequestID(values), Trace: traceID(traceParent(values))}
	if given := values(HeaderLanguage); len(given) == 1 {
		c.Language = reason.Language(given[0])
	}
	return c
}

// visible reports whether s is ASCII without control characters, and no blank begins or ends it.
func visible(s string) bool {
	return ascii.Printable(s) && strings.TrimSpace(s) == s
}

func (r *Reader) fingerprint(authorization string) string {
	mac := hmac.New(sha256.New, r.key[:])
	mac.Write([]byte(authorization))
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

var requestIDForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// RequestID returns the request id that is given, or makes one up if there is none that is fit to be logged and sent
// back.
func RequestID(values func(name string) []string) string {
	if given := values(HeaderRequestID); len(given) == 1 && requestIDForm.MatchString(given[0]) {
		return given[0]
	}
	var id [16]byte
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

var traceParentForm = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]{0,200})?$`)

// traceParent returns the W3C traceparent that is given, empty if there is none that can be used.
func traceParent(values func(name string) []string) string {
	if given := values(HeaderTraceParent); len(given) == 1 && traceParentForm.MatchString(given[0]) {
		return given[0]
	}
	return ""
}

// traceID returns the trace of a traceparent, or makes one up.
func traceID(traceParent string) (id [16]byte) {
	if m := traceParentForm.FindStringSubmatch(traceParent); m != nil {
		_, _ = hex.Decode(id[:], []byte(m[1]))
	}
	if id == [16]byte{} {
		_, _ = rand.Read(id[:])
	}
	return id
}

type contextKey struct{}

// NewContext returns ctx with c in it.
func NewContext(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, contextKey{}, c)
}

// FromContext returns the Caller that NewContext put into ctx.
func FromContext(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(contextKey{}).(Caller)
	return c, ok
}
