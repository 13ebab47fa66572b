package koodrivetest

import (
	"net/http"
	"strings"
	"time"
)

// token is an accepted token.
type token struct {
	idle time.Duration // expires when it has not been used for this time; 0: never
	used time.Time     // when it was added or last accepted
}

// AddToken accepts a token, as "Bearer ", with one space, and the token. A token that begins with "Bearer " or "AT "
// (the carrier edition's) is the header's whole value. The token expires when it has not been used for idle; each
// accepted request restarts that time; 0: it does not expire. KooDrive's own tokens last 20 minutes in this way. Adding
// a token again renews it.
func (k *KooDrive) AddToken(value string, idle time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens[authorization(value)] = &token{idle: idle, used: time.Now()}
}

// RevokeToken stops accepting a token.
func (k *KooDrive) RevokeToken(value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tokens, authorization(value))
}

// AddApp accepts requests that are signed with this AppId and AppSecret, for any user.
func (k *KooDrive) AddApp(id, secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.apps[id] = secret
}

// authorization returns the header value of a token.
func authorization(token string) string {
	if strings.HasPrefix(token, "Bearer ") || strings.HasPrefix(token, "AT ") {
		return token
	}
	return "Bearer " + token
}

// refuseCredential returns the refusal of an invalid credential. For a valid one, the answer's refused is empty.
func (k *KooDrive) refuseCredential(r *http.Request, body []byte) answer {
	values := r.Header.Values("Authorization")
	if len(values) == 1 && strings.HasPrefix(values[0], algorithm+" ") {
		if why := k.badSignature(r, values[0], body); why != "" {
			a := gateway(http.StatusUnauthorized, "APIGW.0303", "Incorrect app authentication information.")
			a.refused = why
			return a
		}
		return answer{}
	}
	if why := k.badToken(values, time.Now()); why != "" {
		a := gateway(http.StatusUnauthorized, "APIGW.0301", "Incorrect IAM authentication information.")
		a.refused = why
		return a
	}
	return answer{}
}

// badToken returns why a token is refused. It renews a valid token and returns an empty text.
func (k *KooDrive) badToken(values []string, now time.Time) string {
	switch len(values) {
	case 0:
		return "no Authorization"
	case 1:
	default:
		return "more than one Authorization"
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.tokens[values[0]]
	switch {
	case t == nil:
		return "unknown token"
	case t.idle > 0 && now.Sub(t.used) >= t.idle:
		return "token expired"
	}
	t.used = now
	return ""
}
