package koodrivetest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

const (
	algorithm = "HMAC-SHA256"
	dateForm  = "20060102T150405Z"
	maxAge    = 15 * time.Minute // maximum age of X-Date
)

// claim is a parsed Authorization of a signed request.
type claim struct {
	app, signature string
	headers        []string // names of the signed headers, as received
}

// badSignature returns why a signature is refused; empty if it is valid. It recomputes the signature of the request as
// received: HMAC-SHA256, with the AppSecret, of the algorithm's name, a newline and the hash of the canonical request.
func (k *KooDrive) badSignature(r *http.Request, authorization string, body []byte) string {
	c, ok := parseClaim(authorization)
	if !ok {
		return "malformed Authorization"
	}
	k.mu.Lock()
	secret, known := k.apps[c.app]
	k.mu.Unlock()
	if !known {
		return "unknown AppId"
	}
	if why := badDate(r.Header.Get("X-Date"), k.now()); why != "" {
		return why
	}
	s := k.speaks().Signature
	canonical, why := s.canonicalRequest(r, c.headers, body)
	if why != "" {
		return why
	}
	text := algorithm + "\n"
	if s.TimeLine {
		text += r.Header.Get("X-Date") + "\n"
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text + hexSHA256([]byte(canonical))))
	if !hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(c.signature)) {
		return "wrong signature"
	}
	return ""
}

// parseClaim parses "HMAC-SHA256 AppId=…,SignedHeaders=a;b,Signature=…", in this order and without other spaces.
func parseClaim(authorization string) (c claim, ok bool) {
	fields := strings.Split(strings.TrimPrefix(authorization, algorithm+" "), ",")
	if len(fields) != 3 {
		return claim{}, false
	}
	var headers string
	for i, to := range []*string{&c.app, &headers, &c.signature} {
		name := []string{"AppId=", "SignedHeaders=", "Signature="}[i]
		if *to, ok = strings.CutPrefix(fields[i], name); !ok {
			return claim{}, false
		}
	}
	c.headers = strings.Split(headers, ";")
	return c, true
}

// badDate returns why a signing time is refused; empty if it is valid.
func badDate(value string, now time.Time) string {
	// Parse also accepts a fraction of a second, so the length is checked.
	date, err := time.Parse(dateForm, value)
	switch {
	case err != nil || len(value) != len(dateForm):
		return "malformed X-Date"
	case date.After(now):
		return "X-Date in the future"
	case now.Sub(date) > maxAge:
		return "X-Date too old"
	}
	return ""
}
