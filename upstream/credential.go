package upstream

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/kootask/kootask/internal/ascii"
	"github.com/kootask/kootask/internal/secret"
)

// Names of the headers that a credential consists of, as KooDrive spells them.
const (
	HeaderAuthorization = "Authorization"
	HeaderUserID        = "X-User-Id"
	HeaderDate          = "X-Date"
)

// Credential is on whose behalf KooDrive is asked. It is made by [Forward] or [App.As], and cannot be printed.
// The zero Credential is none, and KooDrive is not asked with it.
type Credential struct {
	authorization secret.Value // Ready to send. Empty if app is set.
	userID        string       // X-User-Id. May be empty for a token.
	date          string       // X-Date of a ready-made signature.
	app           *App         // Signs every attempt anew,
	secret        secret.Value // with this one of the app's.
}

// CredentialError says why a credential cannot be sent to KooDrive. It holds nothing of the credential.
type CredentialError struct {
	// Header is the one at fault, in lower case: "authorization", "x-user-id" or "x-date".
	Header string
	// Missing tells an absent value from a malformed one.
	Missing bool
	// Covers is a header that a signature covers, though KooDrive does not get it as it was signed. It has the form of a
	// header's name, in lower case, and at most 64 characters. Empty if something else is wrong.
	Covers string
}

func (e *CredentialError) Error() string {
	if e.Covers != "" {
		return "credential: the signature covers " + e.Covers + ", which is not sent on as it was signed"
	}
	if e.Missing {
		return "credential: " + e.Header + " is missing"
	}
	return "credential: " + e.Header + " is malformed"
}

// signatureScheme begins an authorization that is an app signature.
const signatureScheme = "HMAC-SHA256 "

// Forward returns the credential of a caller who has one for KooDrive. authorization is either
//
//   - a token: "Bearer x", "Bearer+x" and a bare "x" are all sent as "Bearer x", since KooDrive's documents print the
//     blank as a + and its sign-in returns tokens with and without the prefix; "AT x" is sent as it is;
//   - a ready-made app signature, "HMAC-SHA256 AppId=…,SignedHeaders=…,Signature=…", with the userID and the date that
//     it covers.
//
// Several spaces after a scheme count as one, which is sent. With a token, userID and date may be empty. A signature may cover
// host, x-date and x-user-id: what else KooDrive gets in a header is ours. It fails with a [*CredentialError].
func Forward(authorization secret.Value, userID, date string) (Credential, error) {
	value, err := normalise(authorization.Reveal())
	if err != nil {
		return Credential{}, err
	}
	if strings.HasPrefix(value, signatureScheme) {
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
	return Credential{authorization: secret.New(value), userID: userID, date: date}, nil
}

// normalise returns authorization as KooDrive expects it: with one space after the scheme, where HTTP allows several.
func normalise(authorization string) (string, error) {
	malformed := &CredentialError{Header: "authorization"}
	if authorization == "" {
		return "", &CredentialError{Header: "authorization", Missing: true}
	}
	if fields, ok := strings.CutPrefix(authorization, signatureScheme); ok {
		fields = strings.TrimLeft(fields, " ")
		if !isSignature(fields) || len(signatureScheme)+len(fields) > maxAuthorization {
			return "", malformed
		}
		return signatureScheme + fields, nil
	}
	scheme, token := "Bearer ", authorization
	if len(token) >= len(scheme) && (strings.EqualFold(token[:7], "bearer ") || strings.EqualFold(token[:7], "bearer+")) {
		token = strings.TrimLeft(token[7:], " ")
	} else if rest, ok := strings.CutPrefix(token, "AT "); ok {
		scheme, token = "AT ", strings.TrimLeft(rest, " ")
	}
	if !isToken(token) || strings.EqualFold(token, "bearer") || len(scheme)+len(token) > maxAuthorization {
		return "", malformed
	}
	return scheme + token, nil
}

// maxAuthorization is the length of the longest authorization that is sent on, in bytes: KooDrive's own are under 200.
const maxAuthorization = 4096

// isToken reports whether token is not empty and only visible ASCII, without blanks.
func isToken(token string) bool {
	return token != "" && ascii.Visible(token)
}

// isSignature reports whether fields is "AppId=…,SignedHeaders=…,Signature=…", in this order and without blanks.
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

// checkCovered reports whether all that a signature covers reaches KooDrive as it was signed. It cannot be right otherwise.
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

// parts are what distinguishes c from another credential: all of it that can change KooDrive's answer.
func (c Credential) parts() []string {
	if c.app != nil {
		return []string{"app", c.app.ID, c.userID}
	}
	return []string{"forward", c.authorization.Reveal(), c.date, c.userID}
}

// caller is who has c: an app's user, or whoever has a token or a signature. The user and the date that come with a token
// do not count, since they cost nothing to change.
func (c Credential) caller() []string {
	if c.app != nil {
		return c.parts()
	}
	return []string{"forward", c.authorization.Reveal()}
}

// signing returns c with each secret that signs for it, in the order in which they are tried. What is not signed here is
// there once.
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

// apply puts c on the request. It is the last thing that happens to one, since a signature covers the time.
func (c Credential) apply(req *http.Request, clock *clock) {
	authorization, date := c.authorization.Reveal(), c.date
	if c.app != nil {
		date = clock.signingDate()
		authorization = c.app.authorization(signed{
			method: req.Method, host: req.Host, path: req.URL.EscapedPath(), date: date, userID: c.userID,
		}, c.secret)
	}
	req.Header.Set(HeaderAuthorization, authorization)
	if c.userID != "" {
		req.Header.Set(HeaderUserID, c.userID)
	}
	if date != "" {
		req.Header.Set(HeaderDate, date)
	}
}
