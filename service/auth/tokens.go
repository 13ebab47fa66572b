package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kootask/kootask/service/caller"
	"github.com/kootask/kootask/service/reason"
)

// MaxToken is the length of the longest token that is looked at, MaxSubject that of the longest sub, in bytes.
const (
	MaxToken   = caller.MaxToken
	MaxSubject = 256
)

// ClockSkew is how far ahead of this clock the issuer's may be, for nbf and iat. For exp there is no such leeway.
const ClockSkew = 30 * time.Second

// Algorithms are what tokens may be signed with: signatures that only the issuer can make, so no HMAC.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// TokensConfig says whose tokens are good.
type TokensConfig struct {
	// Issuer is the URL that tokens name as iss, letter by letter, and below which discovery finds the keys. It is https,
	// or http on a loopback host, and has no user, query or fragment.
	Issuer string
	// Audience is what tokens must name as aud, alone or among others. It must not be empty.
	Audience string
	// RootCAs returns whose certificates the issuer, and an https Proxy, may have: it is asked for each fetch. Nil: the system's.
	RootCAs func() *x509.CertPool
	// Proxy is the HTTP proxy to reach the issuer through. Nil is none: the environment's is never used.
	Proxy *url.URL
	// Transport reaches the issuer in place of one that has RootCAs and Proxy, and speaks TLS 1.2 or newer. It remains the
	// caller's. Nil: there is no other.
	Transport http.RoundTripper
	// Metrics is where the metrics of fetching keys are registered. Nil: nowhere.
	Metrics prometheus.Registerer
}

// Tokens verifies the tokens of one issuer. It is safe for concurrent use. Make one with [NewTokens].
type Tokens struct {
	issuer, audience string
	parser           *jwt.Parser
	keys             *keys
}

// NewTokens returns Tokens, or what is wrong with c. It asks the issuer for nothing: the first token does, so that an
// issuer that is down keeps nobody from starting. From then on, the keys are fetched again at intervals until Close.
func NewTokens(c TokensConfig) (*Tokens, error) {
	if c.Audience == "" {
		return nil, errors.New("the audience is empty")
	}
	keys, err := newKeys(c)
	if err != nil {
		return nil, err
	}
	return &Tokens{
		issuer: c.Issuer, audience: c.Audience, keys: keys,
		// The claims are judged here: the parser would give exp the leeway of the others, and its errors quote the token.
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
	}, nil
}

// Close ends a fetch that is in flight, waits for it, and starts no other. Later calls of Verify know the keys that there are.
func (t *Tokens) Close() { t.keys.close() }

// Verify returns the claims of a token, and when it expires: sub is in them, is not empty, and can be shown. What the header
// names besides alg and kid is not followed: neither keys nor URLs of keys. A token without kid is good only if the issuer
// has exactly one key that can verify anything.
//
// Verify does not block for a token that a known key verifies. For any other it has the keys fetched, if that is allowed again,
// and waits as long as ctx lasts: the issuer may have a new key, also under an id that is known.
//
// The error is ctx's own or a *reason.Error that holds nothing of the token: CallerTokenExpired if nothing is wrong but
// exp, CallerKeysUnavailable if no key has the token's id and the issuer's keys could not be had, CallerNotAuthenticated
// otherwise.
func (t *Tokens) Verify(ctx context.Context, token string) (jwt.MapClaims, time.Time, error) {
	if !wellFormed(token) {
		return nil, time.Time{}, refuse("the token has not the form of one")
	}
	known, version := t.keys.known()
	claims, expiry, err := t.verify(token, known)
	var unverified unverifiedError
	if !errors.As(err, &unverified) {
		return claims, expiry, err
	}
	newer, failure := t.keys.after(ctx, version)
	if failure != nil {
		return nil, time.Time{}, failure
	}
	if newer != nil {
		claims, expiry, err = t.verify(token, newer)
	}
	if errors.Is(err, errNoKey) {
		err = t.keys.missing()
	}
	return claims, expiry, err
}

// unverifiedError is why none of the keys verifies a token with which nothing else is wrong. Another key may.
type unverifiedError string

func (e unverifiedError) Error() string { return string(e) }

const (
	errNoKey     unverifiedError = "the issuer has no such key"
	errOtherKind unverifiedError = "the key that the token names is for another algorithm"
	errSignature unverifiedError = "the signature is not good"
)

// verify does what Verify does, with these keys.
func (t *Tokens) verify(token string, keys keySet) (jwt.MapClaims, time.Time, error) {
	claims := jwt.MapClaims{}
	var expiry time.Time
	var failure error // What is wrong, free of what the parser adds.
	_, err := t.parser.ParseWithClaims(token, claims, func(parsed *jwt.Token) (any, error) {
		// A token that is not for us is no cause to ask the issuer for keys.
		if expiry, failure = t.judge(claims); failure != nil {
			return nil, failure
		}
		var set jwt.VerificationKeySet
		if set, failure = candidates(parsed, keys); failure != nil {
			return nil, failure
		}
		failure = notAuthenticated(errSignature) // Unless one of them verifies it.
		return set, nil
	})
	switch {
	case err != nil && failure != nil:
		return nil, time.Time{}, failure
	case err != nil:
		return nil, time.Time{}, refuse(describe(err))
	case !time.Now().Before(expiry):
		return nil, time.Time{}, &reason.Error{Outcome: reason.CallerTokenExpired, Cause: errors.New("the token has expired")}
	}
	return claims, expiry, nil
}

// wellFormed reports whether a token can be one: three parts of base64url. A decoder of base64 skips the ends of lines, and
// a token with one would be another token that is as good.
func wellFormed(token string) bool {
	return len(token) <= MaxToken && strings.Count(token, ".") == 2 && !strings.ContainsFunc(token, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && r != '-' && r != '_' && r != '.'
	})
}

// describe says what the parser found wrong before it asked for keys, in words of ours: its own quote the token.
func describe(err error) string {
	if errors.Is(err, jwt.ErrTokenMalformed) {
		return "the token cannot be read"
	}
	return "the algorithm of the token is not accepted"
}

// candidates returns those of keys that may verify a token, whose alg is one of ours: at least one.
func candidates(parsed *jwt.Token, keys keySet) (set jwt.VerificationKeySet, err error) {
	for _, name := range []string{"crit", "b64"} {
		if _, has := parsed.Header[name]; has {
			return set, refuse("the header of the token asks for what is not done: " + name)
		}
	}
	id, has := parsed.Header["kid"]
	kid, text := id.(string)
	if has && (!text || kid == "") {
		return set, refuse("the kid of the token is not a text")
	}
	found := keys.find(kid)
	if len(found) == 0 {
		return set, notAuthenticated(errNoKey)
	}
	for _, k := range found {
		if k.fits(parsed.Method) {
			set.Keys = append(set.Keys, k.public)
		}
	}
	if len(set.Keys) == 0 {
		return set, notAuthenticated(errOtherKind)
	}
	return set, nil
}

// judge returns when the token expires, or what is wrong with its claims; that it has expired is not for judge to say.
func (t *Tokens) judge(claims jwt.MapClaims) (expiry time.Time, err error) {
	if issuer, err := claims.GetIssuer(); err != nil || issuer != t.issuer {
		return expiry, refuse("the token is from another issuer")
	}
	if audience, err := claims.GetAudience(); err != nil || !slices.Contains(audience, t.audience) {
		return expiry, refuse("the token is for another audience")
	}
	if subject, err := claims.GetSubject(); err != nil || !showable(subject) {
		return expiry, refuse("the token has no sub that can be shown")
	}
	latest := time.Now().Add(ClockSkew)
	for _, name := range []string{"nbf", "iat"} {
		if since, has, err := date(claims, name); err != nil || has && since.After(latest) {
			return expiry, refuse("the token is not good yet: " + name)
		}
	}
	expiry, has, err := date(claims, "exp")
	if err != nil || !has {
		return time.Time{}, refuse("the token does not say when it expires")
	}
	return expiry, nil
}

// maxDate is the last second of the year 9999. Later ones can overflow, and become the past.
const maxDate = 253402300799

// date reads a claim that is a time, in seconds since 1970, and whether there is one.
func date(claims jwt.MapClaims, name string) (at time.Time, has bool, err error) {
	value, has := claims[name]
	if !has {
		return at, false, nil
	}
	seconds, number := value.(float64)
	if !number || seconds < 0 || seconds > maxDate {
		return at, true, fmt.Errorf("%s is not a time", name)
	}
	return time.UnixMilli(int64(seconds * 1000)), true, nil
}

// showable reports whether s can name a caller.
func showable(s string) bool { return len(s) <= MaxSubject && printable(s) }

// printable reports whether s is a text that people can tell from others: not empty, and without space around it. U+FFFD stands
// for any bytes that were not UTF-8.
func printable(s string) bool {
	return s != "" && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError })
}

// refuse says why nobody is authenticated, to the log.
func refuse(why string) error { return notAuthenticated(errors.New(why)) }

func notAuthenticated(cause error) error {
	return &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: cause}
}
