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

// AddToken accepts a token, as "Bearer ", with one space, and the token, or with the prefix of another dialect. A "Bearer "
// before it is ignored. A token that begins with "AT " (the carrier edition's) is the header's whole value. The token
// expires when it has not been used for idle; each accepted request restarts that time; 0: it does not expire. KooDrive's
// own tokens last 20 minutes in this way. Adding a token again renews it.
func (k *KooDrive) AddToken(value string, idle time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tokens[strings.TrimPrefix(value, documentedPrefix)] = &token{idle: idle, used: time.Now()}
}

// RevokeToken stops accepting a token.
func (k *KooDrive) RevokeToken(value string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.tokens, strings.TrimPrefix(value, documentedPrefix))
}

// AddApp accepts requests that are signed with this AppId and AppSecret, for any user.
func (k *KooDrive) AddApp(id, secret string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.apps[id] = secret
}

const (
	documentedPrefix = "Bearer "
	carrierPrefix    = "AT "
)

// token returns the token of an Authorization, and false if it has another form than the dialect's.
func (d Dialect) token(authorization string) (string, bool) {
	if strings.HasPrefix(authorization, carrierPrefix) {
		return authorization, true
	}
	token, ok := strings.CutPrefix(authorization, d.TokenPrefix)
	return token, ok && !strings.HasPrefix(token, carrierPrefix)
}

// refuseCredential returns the refusal of an invalid credential. For a valid one, the answer's refused is empty.
func (k *KooDrive) refuseCredential(r *http.Request, body []byte) answer {
	values, d := r.Header.Values("Authorization"), k.speaks()
	if len(values) == 1 && strings.HasPrefix(values[0], algorithm+" ") {
		if why := k.badSignature(r, values[0], body); why != "" {
			return d.refuse(http.StatusUnauthorized, "APIGW.0303", "Incorrect app authentication information.", why)
		}
		return answer{}
	}
	if why := k.badToken(values, time.Now()); why != "" {
		return d.refuse(http.StatusUnauthorized, "APIGW.0301", "Incorrect IAM authentication information.", why)
	}
	why := ""
	if d.TokenDate {
		why = badDate(r.Header.Get("X-Date"), k.now())
	}
	if d.UserIDRequired && r.Header.Get("X-User-Id") == "" {
		why = "no X-User-Id"
	}
	if why != "" {
		return d.refuse(http.StatusBadRequest, "13000102", "Verify parameters failed.", why)
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
	value, ok := k.dialect.token(values[0])
	t := k.tokens[value]
	switch {
	case !ok, t == nil:
		return "unknown token"
	case t.idle > 0 && now.Sub(t.used) >= t.idle:
		return "token expired"
	}
	t.used = now
	return ""
}
