package koodrivetest

import (
	"net/http"
	"time"
)

// Fault is an error in an answer. Zero fields do nothing; the others are combined, in the order of the fields. Hang and
// Reset end the answer.
//
// Go's HTTP client repeats a GET by itself when a reused connection is cut without an answer. The log then has two
// requests where a test may expect one.
type Fault struct {
	Latency time.Duration `json:"latency"` // before the answer begins
	// Hang does not answer; the connection is cut when the client gives up.
	Hang   bool        `json:"hang"`
	Reset  bool        `json:"reset"`  // cuts the connection (HTTP/2: resets the stream) in place of an answer
	Status int         `json:"status"` // HTTP status in place of the true one, 100 to 999
	Header http.Header `json:"header"` // replaces the answer's fields of these names, even Date; nil values remove one
	TaskID string      `json:"taskId"` // answers as if this task were requested; if it is unknown, only its id is replaced
	Body   *string     `json:"body"`   // replaces the body; nil leaves the true one, new("") is an empty one
	Pad    int         `json:"pad"`    // pads the body with spaces to this many bytes, before a closing brace if there is one
	// Gzip compresses the body, whatever the client accepts, with Content-Encoding: gzip. Header may replace that by
	// x-gzip.
	Gzip     bool          `json:"gzip"`
	Drip     time.Duration `json:"drip"`     // pause before each single byte of the body
	Truncate bool          `json:"truncate"` // announces the whole body, sends half of it and cuts the connection
}

// RedirectTo returns a fault that answers 302 Found with this Location and no body. For another 3xx, set its Status.
func RedirectTo(url string) *Fault {
	f := Answer(http.StatusFound, "")
	f.Header = http.Header{"Location": {url}}
	return f
}

// Throttled returns a fault that answers 429 like the API gateway when a quota is exhausted. The documents mention no
// Retry-After header; with an empty retryAfter it is left out.
func Throttled(retryAfter string) *Fault {
	f := Answer(http.StatusTooManyRequests, `{"error_msg":"The throttling threshold has been reached: policy user `+
		`over ratelimit,limit:200,time:1 minute","error_code":"APIGW.0308","request_id":"914a39d68c290da3e187f827f7e1b771"}`)
	if retryAfter != "" {
		f.Header = http.Header{"Retry-After": {retryAfter}}
	}
	return f
}

// Answer returns a fault that replaces the status and the body. The Content-Type stays JSON.
func Answer(status int, body string) *Fault { return &Fault{Status: status, Body: &body} }

// answersAlone reports whether the fault replaces the whole status or body of the true answer.
func (f *Fault) answersAlone() bool {
	return f != nil && (f.Status != 0 || f.Body != nil || f.Hang || f.Reset)
}
