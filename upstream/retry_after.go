package upstream

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// MaxRetryAfter is the longest wait that is taken from KooDrive's Retry-After.
const MaxRetryAfter = 10 * time.Minute

// retryAfter returns how long KooDrive asks to wait: never more than MaxRetryAfter, and 0 if it does not ask, or in a form that
// cannot be read. Proxies add fields of their own, or join them with commas: the longest wait counts.
func retryAfter(header http.Header) time.Duration {
	var longest time.Duration
	for _, field := range header.Values("Retry-After") {
		before := ""
		for value := range strings.SplitSeq(field, ",") {
			for _, value := range []string{value, before + "," + value} { // Most dates have a comma themselves.
				longest = max(longest, wait(strings.TrimSpace(value), header))
			}
			before = value
		}
	}
	return longest
}

var secondsForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

// wait reads one value: a number of seconds, or a date.
func wait(value string, header http.Header) time.Duration {
	if secondsForm.MatchString(value) {
		seconds, _ := strconv.ParseFloat(value, 64) // What is too large comes out as infinite.
		return time.Duration(min(seconds, MaxRetryAfter.Seconds()) * float64(time.Second))
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(serverTime(header)), 0), MaxRetryAfter)
	}
	return 0
}

// serverTime is the time at which an answer was sent, by the clock of whoever sent it; ours if it does not say.
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
