package upstream

import (
	"net/http"
	"sync/atomic"
	"time"
)

const (
	// signMargin is how far a signature's date is behind KooDrive's clock. KooDrive refuses a date in its future, and
	// one that is older than signWindow.
	signMargin = 5 * time.Second
	// signWindow is the age up to which KooDrive accepts a date.
	signWindow = 15 * time.Minute
	// maxSkew limits the correction of this clock.
	maxSkew = 14 * time.Minute
)

// clock estimates how far KooDrive's clock is ahead of this one, from the Date of its last answer. Its zero value
// assumes no difference. It is safe for concurrent use.
type clock struct {
	skew atomic.Int64         // A time.Duration within ±maxSkew.
	last atomic.Pointer[date] // The last Date, which is that of all answers of a second.
}

// date is a Date that was parsed.
type date struct {
	text string
	at   time.Time
}

// signingDate returns the X-Date for a request that is sent now.
func (c *clock) signingDate() string {
	skew := time.Duration(c.skew.Load())
	return time.Now().Add(skew - signMargin).UTC().Format(dateLayout)
}

// learn takes the skew from an answer whose header arrived at received. Each answer replaces the estimate of the
// previous one, so that a corrected clock is noticed.
//
// The difference is taken to the time of arrival, not to the middle of the exchange. So it is never too large, however
// long KooDrive took: it errs towards the past, where KooDrive accepts signWindow, and not towards the future, where it
// accepts nothing.
func (c *clock) learn(header http.Header, received time.Time) {
	if header.Get("Age") != "" {
		return // From a cache: its Date is old.
	}
	text := header.Get("Date")
	sent := c.last.Load()
	if sent == nil || sent.text != text {
		at, err := http.ParseTime(text)
		if err != nil {
			return
		}
		sent = &date{text, at}
		c.last.Store(sent)
	}
	skew := min(max(sent.at.Sub(received), -maxSkew), maxSkew)
	c.skew.Store(int64(skew))
}

// explains reports whether KooDrive, in an answer with this header, refused a request because of its X-Date.
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
