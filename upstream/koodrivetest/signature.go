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
	maxAge    = 15 * time.Minute // of X-Date
)

// claim is what a signed request's Authorization says.
type claim struct {
	app, signature string
	headers        []string // names of the signed headers, as they came
}

// badSignature says why a signature is refused, or nothing. The signature is computed anew, from the request as it
// came: canonical request, its hash after the algorithm's name and a newline, HMAC-SHA256 of that with the AppSecret.
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
	canonical, why := canonicalRequest(r, c.headers, body)
	if why != "" {
		return why
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(algorithm + "\n" + hexSHA256([]byte(canonical))))
	if !hmac.Equal([]byte(hex.EncodeToString(mac.Sum(nil))), []byte(c.signature)) {
		return "wrong signature"
	}
	return ""
}

// parseClaim reads "HMAC-SHA256 AppId=…,SignedHeaders=a;b,Signature=…", in this order and without further blanks.
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

// badDate says why a signing time is refused, or nothing.
func badDate(value string, now time.Time) string {
	// The length is checked because Parse would let a fraction of a second pass.
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
