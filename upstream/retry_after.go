package upstream

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter limits the wait that KooDrive's Retry-After can request.
const MaxRetryAfter = 10 * time.Minute

// retryAfter returns the wait that KooDrive requests, at most MaxRetryAfter; 0 if it requests none or the value cannot
// be parsed. Proxies add fields, or join them with commas: the longest wait applies.
func retryAfter(header http.Header) time.Duration {
	var longest time.Duration
	for _, field := range header.Values("Retry-After") {
		before := ""
		for value := range strings.SplitSeq(field, ",") {
			for _, value := range []string{value, before + "," + value} { // Most date formats contain a comma.
				longest = max(longest, wait(strings.TrimSpace(value), header))
			}
			before = value
		}
	}
	return longest
}

var secondsForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// wait parses one value: a number of seconds or a date.
func wait(value string, header http.Header) time.Duration {
	if secondsForm.MatchString(value) {
		seconds, _ := strconv.ParseFloat(value, 64) // A value out of range is infinite.
		return time.Duration(min(seconds, MaxRetryAfter.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(serverTime(header)), 0), MaxRetryAfter)
	}
	return 0
}

// serverTime returns when an answer was sent, by the sender's clock; by this clock if it has no Date.
func serverTime(header http.Header) time.Time {
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return time.Now()
	}
	if age, err := strconv.ParseUint(header.Get("Age"), 10, 31); err == nil { // A cache has kept it for so long.
		now = now.Add(time.Duration(age) * time.Second)
	}
	return now
}
