package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// Accepted lengths of RSA keys, in bits. RFC 7518, 3.3 sets the minimum; verifying with longer keys than maxRSA is too
// slow.
const (
	minRSA = 2048
	maxRSA = 16384
)

// key is a public key of the issuer for verifying signatures.
type key struct {
	id     string // Empty if the issuer gives none.
	alg    string // The only alg it is for; empty: any that fits the key.
	public any
}

// keySet holds the usable keys of an issuer. It is immutable.
type keySet []key

// find returns the keys with an id; several if they share it and differ in kind. For a token without an id, it returns
// the key of an issuer that has only one.
func (s keySet) find(id string) []key {
	if id == "" {
		if len(s) == 1 {
			return s
		}
		return nil
	}
	var found []key
	for _, k := range s {
		if k.id == id {
			found = append(found, k)
		}
	}
	return found
}

// fits reports whether k may verify signatures of method, by the alg that the issuer gives it or by its kind.
func (k key) fits(method jwt.SigningMethod) bool {
	if k.alg != "" && k.alg != method.Alg() {
		return false
	}
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		switch method.(type) {
		case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
			return true
		}
	case *ecdsa.PublicKey:
		m, ok := method.(*jwt.SigningMethodECDSA)
		return ok && m.CurveBits == public.Curve.Params().BitSize
	case ed25519.PublicKey:
		_, ok := method.(*jwt.SigningMethodEd25519)
		return ok
	}
	return false
}

// parseKeys returns the usable keys of a JWK set, and fails without one. Each is parsed by itself, so that a key
// of an unknown kind does not invalidate the others.
func parseKeys(document []byte) (keySet, error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(document, &raw) != nil {
		return nil, errors.New("keys: not a JSON Web Key Set")
	}
	var set keySet
	for _, one := range raw.Keys {
		if k, usable := parseKey(one); usable {
			set = append(set, k)
		}
	}
	if len(set) == 0 {
		return nil, errors.New("keys: no usable key")
	}
	return set, nil
}

// parseKey parses a JWK, and reports whether the key may verify signatures by its kind and its declared use.
func parseKey(raw json.RawMessage) (k key, usable bool) {
	var m jwkset.JWKMarshal
	if json.Unmarshal(raw, &m) != nil {
		return k, false
	}
	m.X5C, m.X5U, m.X5T, m.X5TS256 = nil, "", "", "" // Not needed: the issuer's TLS vouches for the key.
	parsed, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil || m.USE != "" && m.USE != jwkset.UseSig {
		return k, false
	}
	if len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return k, false
	}
	switch public := parsed.Key().(type) {
	case *rsa.PublicKey:
		usable = public.N.BitLen() >= minRSA && public.N.BitLen() <= maxRSA
	case *ecdsa.PublicKey, ed25519.PublicKey:
		usable = true
	}
	return key{m.KID, m.ALG.String(), parsed.Key()}, usable
}
