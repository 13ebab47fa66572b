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

// Lengths of RSA keys, in bits: the least is that of RFC 7518, 3.3; one that is longer than the greatest takes too long.
const (
	minRSA = 2048
	maxRSA = 16384
)

// key is a public key of the issuer's that is for verifying signatures.
type key struct {
	id     string // Empty if the issuer names none.
	alg    string // Empty if any that the key is fit for.
	public any
}

// keySet are the keys of an issuer that can be used. It is not changed.
type keySet []key

// find returns the keys with an id: several if the issuer tells them apart by their kind alone. An empty id finds the key
// of an issuer that has just one.
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

// fits reports whether k may verify what method has signed: the issuer says for which alg it is, or its kind does.
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

// parseKeys reads a JWK set: of its keys, those that can be used. It fails if none can: an issuer that works has one.
// Each is read by itself, since a key of a kind that is not known must not cost the others.
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

// parseKey reads a JWK, and reports whether it verifies signatures by its kind and by what the issuer says that it is for.
func parseKey(raw json.RawMessage) (k key, usable bool) {
	var m jwkset.JWKMarshal
	if json.Unmarshal(raw, &m) != nil {
		return k, false
	}
	m.X5C, m.X5U, m.X5T, m.X5TS256 = nil, "", "", "" // It is the issuer's TLS that vouches for the key.
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
