package koodrivetest

import (
	"net/http"
	"time"
)

// Fault is something that goes wrong with an answer. Zero fields do nothing; the others add up, in the order in which
// they stand here. After a Hang or a Reset nothing else happens.
//
// Go's HTTP client repeats a GET by itself when a connection that it had used before is cut without an answer.
// The log then shows two requests where a test may expect one.
type Fault struct {
	Latency  time.Duration `json:"latency"`  // before the answer begins
	Hang     bool          `json:"hang"`     // never answers; the connection is cut when the client gives up
	Reset    bool          `json:"reset"`    // cuts the connection (HTTP/2: resets the stream) in place of an answer
	Status   int           `json:"status"`   // HTTP status in place of the true one, 100 to 999
	Header   http.Header   `json:"header"`   // replaces the answer's fields of these names, even Date; nil values remove one
	TaskID   string        `json:"taskId"`   // answers as if this task had been asked for; only its id, if it is unknown
	Body     *string       `json:"body"`     // replaces the body; nil leaves the true one, new("") is an empty one
	Pad      int           `json:"pad"`      // fills the body up to so many bytes, with blanks before a closing brace
	Gzip     bool          `json:"gzip"`     // compresses the body, whatever the client accepts, with Content-Encoding: gzip, which Header may replace by x-gzip
	Drip     time.Duration `json:"drip"`     // pause before each single byte of the body
	Truncate bool          `json:"truncate"` // announces the whole body, sends half of it and cuts the connection
}

// RedirectTo answers 302 Found with this Location and no body. For another 3xx set its Status.
func RedirectTo(url string) *Fault {
	f := Answer(http.StatusFound, "")
	f.Header = http.Header{"Location": {url}}
	return f
}

// Throttled answers 429 as the API gateway does when a quota is used up. The documents know of no Retry-After header;
// an empty retryAfter leaves it out.
func Throttled(retryAfter string) *Fault {
	f := Answer(http.StatusTooManyRequests, `{"error_msg":"The throttling threshold has been reached: policy user `+
		`over ratelimit,limit:200,time:1 minute","error_code":"APIGW.0308","request_id":"914a39d68c290da3e187f827f7e1b771"}`)
	if retryAfter != "" {
		f.Header = http.Header{"Retry-After": {retryAfter}}
	}
	return f
}

// Answer replaces the status and the body. The Content-Type stays JSON.
func Answer(status int, body string) *Fault { return &Fault{Status: status, Body: &body} }

// answersAlone reports whether the fault leaves nothing of the true answer's status or body to be seen.
func (f *Fault) answersAlone() bool {
	return f != nil && (f.Status != 0 || f.Body != nil || f.Hang || f.Reset)
}
