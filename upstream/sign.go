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

// signed has the values that a signature covers. They must be those of the request that is sent.
type signed struct {
	method, host, path, date, userID string
}

// signedHeaders are the headers that a signature covers. KooDrive's text requires the last two; its examples sign all
// three.
const signedHeaders = "host;x-date;x-user-id"

// emptyPayloadHash is the SHA-256 of an empty body.
const emptyPayloadHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// canonicalRequest follows KooDrive's "step 1", for a request without query and body. The signed path ends in a slash,
// although the sent one does not.
func (s signed) canonicalRequest() string {
	path := s.path
	if !strings.HasSuffix(path, "/") {
		path += "/"
	}
	return strings.Join([]string{
		s.method,
		path,
		"",
		"host:" + s.host,
		"x-date:" + s.date,
		"x-user-id:" + s.userID,
		"",
		signedHeaders,
		emptyPayloadHash,
	}, "\n")
}

// stringToSign follows "step 2". Unlike Huawei's other schemes, it has no line for the time.
func (s signed) stringToSign() string {
	hash := sha256.Sum256([]byte(s.canonicalRequest()))
	return "HMAC-SHA256\n" + hex.EncodeToString(hash[:])
}

// authorization follows "step 3" and "step 4".
func (a *App) authorization(s signed, key secret.Value) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(s.stringToSign()))
	return signatureScheme + "AppId=" + a.ID + ",SignedHeaders=" + signedHeaders +
		",Signature=" + hex.EncodeToString(mac.Sum(nil))
}
