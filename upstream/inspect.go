package upstream

import (
	"net/http"
	"time"
)

// Inspection examines how KooDrive speaks: it changes a request and shows what came back. The request is sent at most once,
// whatever KooDrive answers: neither repeated, nor signed again for another date or with a second secret.
type Inspection struct {
	// Dialect replaces the Client's. Nil: it does not.
	Dialect *Dialect
	// Untraced leaves X-Traceid out.
	Untraced bool
	// Seen is called once if an answer came, before the call ends. It must not block. Nil: it is not called.
	Seen func(Exchange)
}

// Exchange is what came back for a request.
type Exchange struct {
	Status int
	// Shape is the structure of a JSON body, without its values: see [AnswerError].
	Shape string
	// Header is KooDrive's, which may contain anything. It must not be changed.
	Header http.Header
	HTTP   string // The version, such as "HTTP/2.0".
	Reused bool   // The connection had served a request before.
	// Took is the time from the start until the header arrived. It includes the connection, unless that was Reused.
	Took time.Duration
	// Ahead is how far KooDrive's clock is ahead of this one, to a second. It is valid if Dated is set.
	Ahead time.Duration
	Dated bool
	// Misdated is set if the X-Date of the request is not one that KooDrive accepts, by its clock.
	Misdated bool
}

// speaks returns the dialect of a request.
func (c *Client) speaks(q request) *Dialect {
	if q.Inspect != nil && q.Inspect.Dialect != nil {
		return q.Inspect.Dialect
	}
	return c.dialect
}

// see shows an answer to the inspection, if there is one.
func (q request) see(r *response) {
	if q.Inspect == nil || q.Inspect.Seen == nil {
		return
	}
	e := Exchange{
		Status: r.status, Shape: shape(r.body[:min(len(r.body), MaxBody)]), Header: r.header, HTTP: r.proto, Reused: r.reused,
		Took: r.received.Sub(r.began), Misdated: explains(r.header, r.xDate),
	}
	if date, err := http.ParseTime(r.header.Get("Date")); err == nil && r.header.Get("Age") == "" {
		e.Ahead, e.Dated = date.Sub(r.received.Truncate(time.Second)), true
	}
	q.Inspect.Seen(e)
}
