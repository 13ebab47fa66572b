package upstream

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/kootask/kootask/internal/secret"
)

// The vectors were computed from KooDrive's documents, which publish no example that can be recomputed. The variants have one
// part each that the documents leave open.
func TestSignatureVectors(t *testing.T) {
	for _, name := range []string{"testdata/app-signature.json", "testdata/app-signature-variants.json"} {
		signatureVectors(t, name)
	}
}

func signatureVectors(t *testing.T, name string) {
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			OpenPart               Signature `json:"open_part"`
			AppID                  string    `json:"app_id"`
			AppSecret              string    `json:"app_secret"`
			Method                 string    `json:"method"`
			Host                   string    `json:"host"`
			Path                   string    `json:"request_path"`
			UserID                 string    `json:"x_user_id"`
			Date                   string    `json:"x_date"`
			CanonicalRequest       string    `json:"canonical_request"`
			HashedCanonicalRequest string    `json:"hashed_canonical_request"`
			StringToSign           string    `json:"string_to_sign"`
			Authorization          string    `json:"authorization"`
		} `json:"vectors"`
	}
	if err := json.Unmarshal(raw, &file); err != nil || len(file.Vectors) < 3 {
		t.Fatalf("%d vectors, %v", len(file.Vectors), err)
	}
	for _, v := range file.Vectors {
		s := signed{Signature: v.OpenPart, method: v.Method, scheme: "https", host: v.Host, path: v.Path, date: v.Date, userID: v.UserID}
		if got := s.canonicalRequest(); got != v.CanonicalRequest {
			t.Errorf("%s: canonical request %q, want %q", v.AppID, got, v.CanonicalRequest)
		}
		hash := sha256.Sum256([]byte(s.canonicalRequest()))
		if got := hex.EncodeToString(hash[:]); got != v.HashedCanonicalRequest {
			t.Errorf("%s: hash %s, want %s", v.AppID, got, v.HashedCanonicalRequest)
		}
		if got := s.stringToSign(); got != v.StringToSign {
			t.Errorf("%s: string to sign %q, want %q", v.AppID, got, v.StringToSign)
		}
		app := &App{ID: v.AppID, Secrets: FixedSecrets(secret.New(v.AppSecret))}
		if got := app.authorization(s, app.Secrets()[0]); got != v.Authorization {
			t.Errorf("%s: authorization %s, want %s", v.AppID, got, v.Authorization)
		}
	}
}
