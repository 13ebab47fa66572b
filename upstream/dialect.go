package upstream

import (
	"errors"
	"net/http"
	"strings"
)

// Dialect is how KooDrive is found to speak, where its documents leave that open. It must not be changed while a Client uses
// it.
type Dialect struct {
	// TokenPrefix is what stands before a token, for example "Bearer ".
	TokenPrefix string
	// TokenDate sends X-Date with tokens as well, by the clock that signs.
	TokenDate bool
	// UserIDRequired refuses a token without a user's id.
	UserIDRequired bool
	// Headers are sent with all requests. They are not signed. Names are in canonical form.
	Headers []Header
	// Signature has the open parts of an app's signature.
	Signature Signature
	// Meanings are those of refusals, and Documented those of the error codes in the documents. A row of Meanings with a
	// code wins over Documented, and one with the status alone yields to it. 401 and 403 win over Documented.
	Meanings   map[Refusal]Meaning
	Documented map[string]Meaning
	// Statuses and TaskTypes map undocumented numbers to documented ones.
	Statuses, TaskTypes map[int32]int32
	// Digest identifies the dialect: queries of Clients with different digests have different keys.
	Digest string
}

// Header is a header with its value.
type Header struct{ Name, Value string }

// Refusal selects refusals: see [Dialect.Meanings].
type Refusal struct {
	Status int    // The HTTP status; 0: any.
	Code   string // The error code, that of Huawei's API gateway without APIG or APIGW; empty: any.
}

// Documented returns the dialect of KooDrive's documents. It knows the meaning of no error code.
func Documented() *Dialect { return &Dialect{TokenPrefix: tokenScheme} }

// Meaning is what a refusal means. Whether the circuit breaker counts it, and whether another signature is tried, follows
// from that.
type Meaning int

// The meanings of refusals. [Unmapped] leaves it to the HTTP status.
const (
	Unmapped Meaning = iota
	MeansRequestInvalid
	MeansCredentialRejected
	MeansTaskNotFound
	MeansPermissionDenied
	MeansRateLimited
	MeansTimeout
	MeansUnavailable
	MeansBusinessError
	MeansMisconfigured
)

// explain adds the meaning of a refusal: that of its status and code, or else of its code, or else the documented one of its
// code, or else that of its status.
func (d *Dialect) explain(e *StatusError) {
	code := plainCode(e.Code)
	for _, r := range []Refusal{{e.Status, code}, {0, code}} {
		if m := d.Meanings[r]; m != Unmapped && code != "" {
			e.Meaning, e.Mapped = m, true
			return
		}
	}
	if e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden {
		e.Meaning = d.Documented[code]
	}
	if m := d.Meanings[Refusal{Status: e.Status}]; m != Unmapped && e.Meaning == Unmapped {
		e.Meaning, e.Mapped = m, true
	}
}

// plainCode returns an error code without the prefix of Huawei's API gateway, which is printed in two ways.
func plainCode(code string) string {
	return strings.TrimPrefix(strings.TrimPrefix(code, "APIGW"), "APIG")
}

// status returns the documented status of a number; the number itself if there is none.
func (d *Dialect) status(sent int32) int32 {
	if listed, ok := d.Statuses[sent]; ok {
		return listed
	}
	return sent
}

// taskType is status for the type of a task.
func (d *Dialect) taskType(sent *int32) *int32 {
	if sent == nil {
		return nil
	}
	if listed, ok := d.TaskTypes[*sent]; ok {
		return new(listed)
	}
	return sent
}

// failed reports whether a refusal counts against KooDrive.
func (e *StatusError) failed() bool {
	switch e.Meaning {
	case Unmapped:
		return e.Status >= http.StatusInternalServerError
	case MeansTimeout, MeansUnavailable:
		return true
	default:
		return false
	}
}

// limited reports whether KooDrive has refused a request for the rate of requests.
func (e *StatusError) limited() bool {
	return e.Meaning == MeansRateLimited || e.Meaning == Unmapped && e.Status == http.StatusTooManyRequests
}

// refusesCredential reports whether KooDrive refused a request for its signature. It documents 401, and 400 without a
// code, for that.
func (e *StatusError) refusesCredential() bool {
	return e.Meaning == MeansCredentialRejected ||
		e.Meaning == Unmapped && (e.Status == http.StatusUnauthorized || e.Status == http.StatusBadRequest && e.Code == "")
}

// mayRefuseDate reports whether the date of a request can be the reason of its error.
func mayRefuseDate(err error) bool {
	var e *StatusError
	return errors.As(err, &e) &&
		(e.Meaning == MeansCredentialRejected || e.Status == http.StatusUnauthorized || e.Status == http.StatusBadRequest)
}
