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

// MaxToken is the length of the longest accepted token, and MaxSubject of the longest sub, in bytes.
const (
	MaxToken   = caller.MaxToken
	MaxSubject = 256
)

// ClockSkew is how far ahead the issuer's clock may be, for nbf and iat. exp gets no leeway.
const ClockSkew = 30 * time.Second

// algorithms are the accepted algorithms. HMAC is not among them: only the issuer must be able to sign.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// TokensConfig configures the accepted tokens.
type TokensConfig struct {
	// Issuer is the URL that tokens must have as iss, compared exactly, and below which the discovery document is. It
	// is https, or http on a loopback host, without user, query or fragment. Required.
	Issuer string
	// Audience must be among the aud of tokens. Required.
	Audience string
	// RootCAs returns the authorities for the certificates of the issuer and of an https Proxy; it is called for each
	// fetch. Nil: the system's.
	RootCAs func() *x509.CertPool
	// Proxy is the HTTP proxy to the issuer. Nil: none; the environment's is never used.
	Proxy *url.URL
	// Transport, if not nil, replaces the transport that uses RootCAs and Proxy. It must require TLS 1.2 or newer.
	// Tokens does not close it.
	Transport http.RoundTripper
	// Metrics registers the metrics of key fetches. Nil: they are not registered.
	Metrics prometheus.Registerer
}

// Tokens verifies the tokens of one issuer. It is safe for concurrent use. Make one with [NewTokens].
type Tokens struct {
	issuer, audience string
	parser           *jwt.Parser
	keys             *keys
}

// NewTokens returns Tokens, or an error if c is invalid. It does not contact the issuer, so that kootask starts while
// the issuer is down: the first token does. From then on, the keys are fetched at intervals until Close.
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
		// The parser would give exp the leeway of nbf and iat, and its errors quote the token. So judge checks the
		// claims.
		parser: jwt.NewParser(jwt.WithValidMethods(algorithms), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation()),
	}, nil
}

// Close cancels a fetch in flight, waits for it, and starts no other. Later calls of Verify use the last keys.
func (t *Tokens) Close() { t.keys.close() }

// Verify returns the claims of a token and when it expires. sub is not empty and is printable. From the header, only
// alg and kid are used, never keys or URLs of keys. A token without kid is valid only if the issuer has exactly one
// usable key.
//
// Verify does not block for a token that a known key verifies. For any other it fetches the keys, if a fetch is
// allowed, and waits until ctx ends: the issuer may have a new key, even under a known id.
//
// The error is ctx's or a [*reason.Error] that quotes nothing of the token: CallerTokenExpired if only exp is wrong,
// CallerKeysUnavailable if no key has the token's id and the keys could not be fetched, and otherwise
// CallerNotAuthenticated.
func (t *Tokens) Verify(ctx context.Context, token string) (jwt.MapClaims, time.Time, error) {
	if !wellFormed(token) {
		return nil, time.Time{}, refuse("not a well-formed token")
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

// unverifiedError reports that no key verifies an otherwise valid token. A newer key may.
type unverifiedError string

func (e unverifiedError) Error() string { return string(e) }

const (
	errNoKey     unverifiedError = "the issuer has no such key"
	errOtherKind unverifiedError = "the key that the token names is for another algorithm"
	errSignature unverifiedError = "invalid signature"
)

// verify is Verify with the given keys.
func (t *Tokens) verify(token string, keys keySet) (jwt.MapClaims, time.Time, error) {
	claims := jwt.MapClaims{}
	var expiry time.Time
	var failure error // The error, without the parser's additions.
	_, err := t.parser.ParseWithClaims(token, claims, func(parsed *jwt.Token) (any, error) {
		// A token for another audience does not justify a fetch of keys.
		if expiry, failure = t.judge(claims); failure != nil {
			return nil, failure
		}
		var set jwt.VerificationKeySet
		if set, failure = candidates(parsed, keys); failure != nil {
			return nil, failure
		}
		failure = notAuthenticated(errSignature) // Replaced by success if a key verifies it.
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

// wellFormed reports whether a token has three parts of base64url. Decoders of base64 skip line breaks, so a token with
// one would be a second valid form of another token.
func wellFormed(token string) bool {
	return len(token) <= MaxToken && strings.Count(token, ".") == 2 && !strings.ContainsFunc(token, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && r != '-' && r != '_' && r != '.'
	})
}

// describe explains why the parser refused a token before it asked for keys. The parser's own text quotes the token.
func describe(err error) string {
	if errors.Is(err, jwt.ErrTokenMalformed) {
		return "the token cannot be read"
	}
	return "the algorithm of the token is not accepted"
}

// candidates returns the keys that may verify a token, at least one.
func candidates(parsed *jwt.Token, keys keySet) (set jwt.VerificationKeySet, err error) {
	for _, name := range []string{"crit", "b64"} {
		if _, has := parsed.Header[name]; has {
			return set, refuse("the header of the token requires an unsupported extension: " + name)
		}
	}
	id, has := parsed.Header["kid"]
	kid, text := id.(string)
	if has && (!text || kid == "") {
		return set, refuse("the kid of the token is not a non-empty string")
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

// judge checks the claims and returns when the token expires. It does not check that: an expired token is reported only
// if it is otherwise valid.
func (t *Tokens) judge(claims jwt.MapClaims) (expiry time.Time, err error) {
	if issuer, err := claims.GetIssuer(); err != nil || issuer != t.issuer {
		return expiry, refuse("the token is from another issuer")
	}
	if audience, err := claims.GetAudience(); err != nil || !slices.Contains(audience, t.audience) {
		return expiry, refuse("the token is for another audience")
	}
	if subject, err := claims.GetSubject(); err != nil || !showable(subject) {
		return expiry, refuse("the token has no printable sub")
	}
	latest := time.Now().Add(ClockSkew)
	for _, name := range []string{"nbf", "iat"} {
		if since, has, err := date(claims, name); err != nil || has && since.After(latest) {
			return expiry, refuse("the token is not valid yet: " + name)
		}
	}
	expiry, has, err := date(claims, "exp")
	if err != nil || !has {
		return time.Time{}, refuse("the token does not say when it expires")
	}
	return expiry, nil
}

// maxDate is the last second of the year 9999. Later times can overflow into the past.
const maxDate = 253402300799

// date reads a claim that is a time, in seconds since 1970. has reports whether the claim exists.
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

// showable reports whether s can be a caller's name.
func showable(s string) bool { return len(s) <= MaxSubject && printable(s) }

// printable reports whether s is non-empty, printable and without a space at either end. U+FFFD is refused, as it
// stands for arbitrary invalid bytes.
func printable(s string) bool {
	return s != "" && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError })
}

// refuse returns the error of an invalid token; why is for the log.
func refuse(why string) error { return notAuthenticated(errors.New(why)) }

func notAuthenticated(cause error) error {
	return &reason.Error{Outcome: reason.CallerNotAuthenticated, Cause: cause}
}
