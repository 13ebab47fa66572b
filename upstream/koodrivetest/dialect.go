package koodrivetest

import (
	"net/http"
	"strconv"
	"strings"
)

// Dialect is how a KooDrive speaks where the documents leave that open. Its zero value is not the default: see [Documented].
type Dialect struct {
	// TokenPrefix is what has to stand before a token.
	TokenPrefix string
	// TokenDate refuses a token without a valid X-Date, and UserIDRequired one without X-User-Id.
	TokenDate, UserIDRequired bool
	// Headers have to be sent with each request, with these values.
	Headers map[string]string
	// Signature has the open parts of an app's signature.
	Signature Signature
	// Refusals are the refusals that replace the documented ones, by their code, like 13000309 or APIGW.0301.
	Refusals map[string]Refusal
	// Statuses and TaskTypes are sent in place of the documented numbers.
	Statuses, TaskTypes map[int64]int64
}

// Signature has the parts of a signature that the documents leave open. Its zero value is the default.
type Signature struct {
	WithoutHost  bool // The host must not be signed.
	HostWithPort bool // The signed host has a port, also if it is the default one.
	TimeLine     bool // The string to sign has a line with X-Date.
	EmptyPayload bool // The hash of an empty body is the empty text.
	PathAsItIs   bool // No slash is added to the signed path.
}

// Refusal is a status and a code; 0 and empty: as documented.
type Refusal struct {
	Status int
	Code   string
}

// Documented returns the dialect of KooDrive's documents.
func Documented() Dialect { return Dialect{TokenPrefix: "Bearer "} }

// SetDialect changes how k speaks. The dialect must not be changed afterwards.
func (k *KooDrive) SetDialect(d Dialect) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dialect = d
}

// speaks returns how k speaks.
func (k *KooDrive) speaks() Dialect {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.dialect
}

// misses returns which header of the dialect a request lacks; empty if it has all.
func (d Dialect) misses(h http.Header) string {
	for name, value := range d.Headers {
		if h.Get(name) != value {
			return "no " + name + " as the dialect requires"
		}
	}
	return ""
}

// status returns the number for a documented status, and taskType the one for a type.
func (d Dialect) status(documented int64) int64 {
	if other, ok := d.Statuses[documented]; ok {
		return other
	}
	return documented
}

func (d Dialect) taskType(documented *int64) *int64 {
	if documented == nil {
		return nil
	}
	if other, ok := d.TaskTypes[*documented]; ok {
		return &other
	}
	return documented
}

// refuse returns the refusal of the dialect in place of a documented one. why is why the request is refused; empty: for
// what it asks.
func (d Dialect) refuse(status int, code, message, why string) answer {
	r, replaced := d.Refusals[code]
	if replaced && r.Status != 0 {
		status = r.Status
	}
	if replaced {
		code = r.Code
	}
	var a answer
	switch n, err := strconv.Atoi(code); {
	case code == "":
		a = answer{status: status, body: []byte("{}")}
	case err == nil:
		a = answer{status: status, body: encode(struct {
			Code int    `json:"code"`
			Msg  string `json:"msg"`
		}{n, message})}
	case strings.HasPrefix(code, "."): // A dialect may leave out the gateway's name.
		a = gateway(status, "APIGW"+code, message)
	default:
		a = gateway(status, code, message)
	}
	a.refused = why
	return a
}
