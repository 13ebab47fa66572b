package upstream

import (
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// signMargin is how far behind KooDrive's clock a signature is dated: KooDrive refuses one that is later than now,
	// and one that is 15 minutes old.
	signMargin = 5 * time.Second
	// signWindow is how old a date KooDrive accepts.
	signWindow = 15 * time.Minute
	// maxSkew is how much of an error of our clock is ever made up for.
	maxSkew = 14 * time.Minute
)

// clock knows how far KooDrive's clock is ahead of ours, from the Date of its last answer. Its zero value takes them for
// equal. Safe for concurrent use.
type clock struct {
	skew atomic.Int64 // A time.Duration within ±maxSkew.
}

// signingDate is the X-Date for a request that is sent now.
func (c *clock) signingDate() string {
	skew := time.Duration(c.skew.Load())
	return time.Now().Add(skew - signMargin).UTC().Format(dateLayout)
}

// learn takes the skew from an answer whose headers came at received. Each answer replaces what the one before it said,
// so that a corrected clock is noticed.
//
// The difference to the moment of receipt, and not to the middle of the exchange, is never too large, however long
// KooDrive took: the result errs towards the past, where there are 15 minutes, and not towards the future, where there
// are none.
func (c *clock) learn(header http.Header, received time.Time) {
	if header.Get("Age") != "" {
		return // A cache's answer: its Date is of another day.
	}
	date, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		return
	}
	skew := min(max(date.Sub(received), -maxSkew), maxSkew)
	c.skew.Store(int64(skew))
}

// explains reports whether KooDrive, whose answer has this header, refused a request because of its X-Date.
func explains(header http.Header, xDate string) bool {
	signedAt, err := time.Parse(dateLayout, xDate)
	if err != nil {
		return false
	}
	now, err := http.ParseTime(header.Get("Date"))
	if err != nil || header.Get("Age") != "" {
		return false
	}
	return signedAt.After(now) || now.Sub(signedAt) >= signWindow
}
