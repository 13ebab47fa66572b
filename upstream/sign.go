package upstream

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kootask/kootask/internal/secret"
)

// App is an application registered with KooDrive, which may act for its users. It is safe for concurrent use if Secrets
// is.
type App struct {
	// ID is KooDrive's AppId.
	ID string
	// Secrets returns the AppSecret; during a rotation both: the first signs, and the second if KooDrive refuses that.
	// It is called for each call. It must return at least one; those after the second are ignored.
	Secrets func() []secret.Value
}

// FixedSecrets returns a Secrets function for secrets that do not change.
func FixedSecrets(secrets ...secret.Value) func() []secret.Value {
	return func() []secret.Value { return secrets }
}

// maxSecrets is the number of secrets that are used.
const maxSecrets = 2

// Check fails if ID or Secrets is invalid. The ID is sent in a header, between commas.
func (a *App) Check() error {
	if !isToken(a.ID) || strings.Contains(a.ID, ",") {
		return errors.New("the AppId must be visible ASCII characters without a comma")
	}
	secrets := a.Secrets()
	if len(secrets) == 0 || slices.ContainsFunc(secrets, func(s secret.Value) bool { return s.Reveal() == "" }) {
		return errors.New("the AppSecret is missing")
	}
	return nil
}

// As returns the credential of the app acting for a KooDrive user, given the user's id at KooDrive. Each attempt is
// signed separately. As fails with a [*CredentialError] if the id is empty or has other than visible ASCII characters.
func (a *App) As(userID string) (Credential, error) {
	if userID == "" {
		return Credential{}, &CredentialError{Header: "x-user-id", Missing: true}
	}
	if !isToken(userID) { // net/http would trim spaces that were signed.
		return Credential{}, &CredentialError{Header: "x-user-id"}
	}
	return Credential{app: a, userID: userID, secret: a.Secrets()[0]}, nil
}

// dateLayout is the layout of X-Date, always in UTC: 20240831T143829Z.
const dateLayout = "20060102T150405Z"

func isDate(s string) bool {
	_, err := time.Parse(dateLayout, s)
	return err == nil && len(s) == len(dateLayout) // Parse also accepts a fraction of a second.
}

// Signature has the parts of a signature that KooDrive's documents leave open. The zero value is how kootask reads them.
type Signature struct {
	// WithoutHost leaves the host out. KooDrive's text requires only the other two headers; its examples sign all three.
	WithoutHost bool
	// HostWithPort signs the host with its port, also the default one, which is not sent.
	HostWithPort bool
	// TimeLine adds a line with the date to the string to sign, as in Huawei's other schemes.
	TimeLine bool
	// EmptyPayload takes the empty text for the hash of an empty body, in place of its SHA-256.
	EmptyPayload bool
	// PathAsItIs signs the path as it is sent, without a slash at its end.
	PathAsItIs bool
}

// signed has the values that a signature covers. They must be those of the request that is sent.
type signed struct {
	Signature
	method, scheme, host, path, date, userID string
}

// signedHeaders are the headers that a signature may cover, and covers by default.
const (
	signedHeaders = "host;" + signedAlways
	signedAlways  = "x-date;x-user-id"
)

// emptyPayloadHash is the SHA-256 of an empty body.
const emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// headers returns the names of the signed headers.
func (s signed) headers() string {
	if s.WithoutHost {
		return signedAlways
	}
	return signedHeaders
}

// canonicalRequest follows KooDrive's "step 1", for a request without query and body. The signed path ends in a slash,
// although the sent one does not.
func (s signed) canonicalRequest() string {
	path, host, payload := s.path, s.host, emptyPayloadHash
	if !strings.HasSuffix(path, "/") && !s.PathAsItIs {
		path += "/"
	}
	if s.HostWithPort && !hasPort(host) {
		host += map[string]string{schemeHTTPS: ":443", "http": ":80"}[s.scheme]
	}
	if s.EmptyPayload {
		payload = ""
	}
	lines := []string{s.method, path, ""}
	if !s.WithoutHost {
		lines = append(lines, "host:"+host)
	}
	lines = append(lines, "x-date:"+s.date, "x-user-id:"+s.userID, "", s.headers(), payload)
	return strings.Join(lines, "\n")
}

// hasPort reports whether a host of a URL has a port.
func hasPort(host string) bool {
	return strings.LastIndexByte(host, ':') > strings.LastIndexByte(host, ']')
}

// stringToSign follows "step 2".
func (s signed) stringToSign() string {
	hash := sha256.Sum256([]byte(s.canonicalRequest()))
	text := "HMAC-SHA256\n"
	if s.TimeLine {
		text += s.date + "\n"
	}
	return text + hex.EncodeToString(hash[:])
}

// authorization follows "step 3" and "step 4".
func (a *App) authorization(s signed, key secret.Value) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(s.stringToSign()))
	return signatureScheme + "AppId=" + a.ID + ",SignedHeaders=" + s.headers() +
		",Signature=" + hex.EncodeToString(mac.Sum(nil))
}
