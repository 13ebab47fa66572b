package koodrivetest

import (
	"net/http"
	"strings"
	"time"
)

// token is a token that was added and not revoked.
type token struct {
	idle time.Duration // expires when not used for so long; 0: never
	used time.Time     // when it was added or last accepted
}

// AddToken accepts this token from now on, as "Bearer " and the token, with one blank. A token that already begins with
// "Bearer " or "AT " (the carrier edition's) is the header's whole value. It expires when it has not been used for
// idle, which each accepted request starts anew; 0 is never. KooDrive's own tokens last 20 minutes in this way.
// Adding a token again renews it.
func (k *KooDrive) AddToken(value string, idle time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens[authorization(value)] = &token{idle: idle, used: time.Now()}
}

// RevokeToken refuses this token from now on.
func (k *KooDrive) RevokeToken(value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tokens, authorization(value))
}

// AddApp accepts requests signed with this AppId and AppSecret from now on, for any user.
func (k *KooDrive) AddApp(id, secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.apps[id] = secret
}

// authorization is the header value that a token is sent in.
func authorization(token string) string {
	if strings.HasPrefix(token, "Bearer ") || strings.HasPrefix(token, "AT ") {
		return token
	}
	return "Bearer " + token
}

// refuseCredential answers a request whose credential is not accepted. For any other its answer has no reason.
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

// badToken says why a token is refused, or keeps it alive and returns nothing.
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
