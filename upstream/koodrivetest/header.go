package koodrivetest

import (
	"net/http"
	"regexp"
)

var traceID = regexp.MustCompile(`^[A-Za-z0-9_]{58}$`)

// badHeader returns why an optional header is invalid; empty if all are valid.
func badHeader(h http.Header) string {
	for _, v := range h.Values("X-Traceid") {
		if !traceID.MatchString(v) {
			return "X-Traceid is not 58 letters, digits or underscores"
		}
	}
	for _, v := range h.Values("Language") {
		if v != "zh-CN" && v != "en-US" {
			return "language is neither zh-CN nor en-US"
		}
	}
	return ""
}
