package upstream

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/internal/secret"
)

// Names of a credential's headers, as KooDrive spells them.
const (
	HeaderAuthorization = "Authorization"
	HeaderUserID        = "X-User-Id"
	HeaderDate          = "X-Date"
)

// Credential is a caller's credential for KooDrive. It is made by [Forward] or [App.As]; printing it does not reveal
// it. Queries with the zero Credential are refused.
type Credential struct {
	authorization secret.Value // In the documented form. Empty if app is set.
	userID        string       // X-User-Id. May be empty for a token.
	date          string       // X-Date of a signature that the caller made.
	app           *App         // Not nil: signs each attempt,
	secret        secret.Value // with this secret.
}

// CredentialError reports that a credential cannot be sent to KooDrive. It contains nothing of the credential.
type CredentialError struct {
	// Header is the invalid header, in lower case: "authorization", "x-user-id" or "x-date".
	Header string
	// Missing is set if the header is absent, and not if it is malformed.
	Missing bool
	// Covers is a signed header that KooDrive would not get as it was signed. It is a header name in lower case, of at
	// most 64 characters. Empty if something else is wrong.
	Covers string
}

func (e *CredentialError) Error() string {
	if e.Covers != "" {
		return "credential: the signature covers " + e.Covers + ", which is not forwarded unchanged"
	}
	if e.Missing {
		return "credential: " + e.Header + " is missing"
	}
	return "credential: " + e.Header + " is malformed"
}

// tokenScheme begins an authorization with a token, and signatureScheme one with an app signature.
const (
	tokenScheme     = "Bearer "
	signatureScheme = "HMAC-SHA256 "
)

// Forward returns the credential of a caller that has one for KooDrive. authorization is either
//
//   - a token: "Bearer x", "Bearer+x" and "x" are all sent alike, with [Dialect.TokenPrefix], since KooDrive's documents
//     print the space as a plus sign and its sign-in returns tokens with and without the prefix; "AT x" is sent unchanged;
//   - an app signature, "HMAC-SHA256 AppId=…,SignedHeaders=…,Signature=…", with the userID and date that it covers.
//
// Several spaces after a scheme are sent as one. With a token, userID and date may be empty, and the date is checked, but not
// sent. A signature may only cover host, x-date and x-user-id, because kootask sets the other headers. Forward fails with a
// [*CredentialError].
func Forward(authorization secret.Value, userID, date string) (Credential, error) {
	received := authorization.Reveal()
	value, err := normalise(received)
	if err != nil {
		return Credential{}, err
	}
	if value != received {
		authorization = secret.New(value)
	}
	signature := strings.HasPrefix(value, signatureScheme)
	if signature {
		if userID == "" {
			return Credential{}, &CredentialError{Header: "x-user-id", Missing: true}
		}
		if date == "" {
			return Credential{}, &CredentialError{Header: "x-date", Missing: true}
		}
	}
	if userID != "" && !isToken(userID) {
		return Credential{}, &CredentialError{Header: "x-user-id"}
	}
	if date != "" && !isDate(date) {
		return Credential{}, &CredentialError{Header: "x-date"}
	}
	if err := checkCovered(value); err != nil {
		return Credential{}, err
	}
	if !signature { // kootask dates a token itself, if at all: a date of the caller's would only divide polls.
		date = ""
	}
	return Credential{authorization: authorization, userID: userID, date: date}, nil
}

// normalise returns authorization in the form that KooDrive documents, with one space after the scheme. HTTP allows
// several.
func normalise(authorization string) (string, error) {
	if authorization == "" {
		return "", &CredentialError{Header: "authorization", Missing: true}
	}
	if fields, ok := strings.CutPrefix(authorization, signatureScheme); ok {
		fields = strings.TrimLeft(fields, " ")
		if !isSignature(fields) || len(signatureScheme)+len(fields) > maxAuthorization {
			return "", &CredentialError{Header: "authorization"}
		}
		return signatureScheme + fields, nil
	}
	scheme, token := tokenScheme, authorization
	if len(token) >= len(scheme) && (strings.EqualFold(token[:7], "bearer ") || strings.EqualFold(token[:7], "bearer+")) {
		token = strings.TrimLeft(token[7:], " ")
	} else if rest, ok := strings.CutPrefix(token, "AT "); ok {
		scheme, token = "AT ", strings.TrimLeft(rest, " ")
	}
	if !isToken(token) || strings.EqualFold(token, "bearer") || len(scheme)+len(token) > maxAuthorization {
		return "", &CredentialError{Header: "authorization"}
	}
	if strings.HasPrefix(authorization, scheme) && len(authorization) == len(scheme)+len(token) {
		return authorization, nil // As usual. Nothing has to be allocated.
	}
	return scheme + token, nil
}

// maxAuthorization is the length of the longest authorization that is forwarded, in bytes. KooDrive's own are under
// 200.
const maxAuthorization = 4096

// isToken reports whether token is not empty and only has visible ASCII characters, so no spaces.
func isToken(token string) bool {
	return token != "" && ascii.Visible(token)
}

// isSignature reports whether fields is "AppId=…,SignedHeaders=…,Signature=…", in this order and without spaces.
func isSignature(fields string) bool {
	parts := strings.Split(fields, ",")
	if len(parts) != 3 {
		return false
	}
	for i, name := range []string{"AppId=", "SignedHeaders=", "Signature="} {
		if value, ok := strings.CutPrefix(parts[i], name); !ok || !isToken(value) {
			return false
		}
	}
	return true
}

// checkCovered fails if a signature covers a header that does not reach KooDrive as it was signed: the signature could
// not be right.
func checkCovered(authorization string) error {
	fields, ok := strings.CutPrefix(authorization, signatureScheme)
	if !ok {
		return nil
	}
	_, after, _ := strings.Cut(fields, ",SignedHeaders=")
	names, _, _ := strings.Cut(after, ",")
	for name := range strings.SplitSeq(names, ";") {
		name = strings.ToLower(name)
		switch {
		case slices.Contains(strings.Split(signedHeaders, ";"), name):
		case headerForm.MatchString(name):
			return &CredentialError{Header: "authorization", Covers: name}
		default:
			return &CredentialError{Header: "authorization"}
		}
	}
	return nil
}

var headerForm = regexp.MustCompile(`^[a-z0-9_-]{1,64}$`)

// missing reports whether c is the zero Credential.
func (c Credential) missing() bool { return c.authorization.Reveal() == "" && c.app == nil }

// parts returns everything in c that can change KooDrive's answer.
func (c Credential) parts() []string {
	if c.app != nil {
		return []string{"app", c.app.ID, c.userID}
	}
	return []string{"forward", c.authorization.Reveal(), c.date, c.userID}
}

// caller returns the identity of the holder of c: an app's user, or the token or signature. The user and date beside a
// token do not count, since the holder can change them freely.
func (c Credential) caller() []string {
	if c.app != nil {
		return c.parts()
	}
	return []string{"forward", c.authorization.Reveal()}
}

// signing returns c with each of the app's secrets, in the order in which they are tried. Other credentials are
// returned once.
func (c Credential) signing() []Credential {
	if c.app == nil {
		return []Credential{c}
	}
	var all []Credential
	for _, secret := range c.app.Secrets() {
		c.secret = secret
		all = append(all, c)
	}
	return all[:min(len(all), maxSecrets)]
}

// isDated reports whether kootask sets the X-Date of requests with c.
func (c Credential) isDated(d *Dialect) bool { return c.app != nil || d.TokenDate && !c.isSignature() }

// isSignature reports whether c is a signature that the caller made.
func (c Credential) isSignature() bool {
	return strings.HasPrefix(c.authorization.Reveal(), signatureScheme)
}

// apply adds c to the request. It must be the last step, since a signature covers the time.
func (c Credential) apply(req *http.Request, clock *clock, d *Dialect) {
	authorization, date := c.authorization.Reveal(), c.date
	if c.isDated(d) {
		date = clock.signingDate()
	}
	switch {
	case c.app != nil:
		authorization = c.app.authorization(signed{
			Signature: d.Signature, method: req.Method, scheme: req.URL.Scheme, host: req.Host, path: req.URL.EscapedPath(),
			date: date, userID: c.userID,
		}, c.secret)
	case d.TokenPrefix != tokenScheme:
		if token, ok := strings.CutPrefix(authorization, tokenScheme); ok {
			authorization = d.TokenPrefix + token
		}
	}
	req.Header.Set(HeaderAuthorization, authorization)
	if c.userID != "" {
		req.Header.Set(HeaderUserID, c.userID)
	}
	if date != "" {
		req.Header.Set(HeaderDate, date)
	}
}
