package upstream

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// MaxRetryAfter is the longest wait that is taken from KooDrive's Retry-After.
const MaxRetryAfter = 10 * time.Minute

// retryAfter reads Retry-After in both its forms, seconds and a date. It is 0 if there is none, or more than one, or it
// cannot be read or asks for nothing; and never more than MaxRetryAfter.
func retryAfter(header http.Header) time.Duration {
	values := header.Values("Retry-After")
	if len(values) != 1 {
		return 0
	}
	// What is too large for an integer comes out as the largest one.
	if seconds, err := strconv.ParseUint(values[0], 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(seconds, uint64(MaxRetryAfter/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(values[0]); err == nil {
		return min(max(time.Until(at), 0), MaxRetryAfter)
	}
	return 0
}
