package koodrivetest

import (
	"net/http"
	"time"
)

// loggedRequest is a [Request] as the control returns it.
type loggedRequest struct {
	Received time.Time   `json:"received"`
	Ended    time.Time   `json:"ended,omitzero"`
	Method   string      `json:"method"`
	Host     string      `json:"host"`
	Path     string      `json:"path"`
	Header   http.Header `json:"header"`
	TaskID   string      `json:"taskId,omitempty"`
	Refused  string      `json:"refused,omitempty"`
	Status   int         `json:"status"`
	InFlight int         `json:"inFlight"`
}

// logged converts requests for output: credentials become fingerprints, and times UTC.
func logged(requests []Request) []loggedRequest {
	list := make([]loggedRequest, len(requests))
	for i, r := range requests {
		header := r.Header.Clone()
		for j, v := range header["Authorization"] {
			header["Authorization"][j] = fingerprint(v)
		}
		list[i] = loggedRequest{
			r.Received.UTC(), r.Ended.UTC(), r.Method, r.Host, r.Path, header, r.TaskID, r.Refused, r.Status, r.InFlight,
		}
	}
	return list
}

// fingerprint identifies a credential without revealing it: the first 8 digits of the SHA-256 of the header's value.
func fingerprint(authorization string) string { return hexSHA256([]byte(authorization))[:8] }
